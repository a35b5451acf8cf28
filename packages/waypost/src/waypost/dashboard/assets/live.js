// The one stream of events: it comes back by itself with the last revision that it knows, and says how it stands.

const NAMES = ["present", "changes", "reset", "pulse", "traffic"];

export class Live {
  constructor(hear, tell) {
    this.hear = hear;
    this.tell = tell;
    this.source = null;
    this.revision = null;
    this.map = false;
    this.paused = false;
    this.again = null;
    this.waits = 500;
    this.resting = false;
  }

  /** Follow from a revision on; with ``map`` the traffic is told, too. */
  follow(revision, map) {
    if (revision !== null && revision !== undefined) this.revision ??= revision;
    if (this.source && this.map === map) return;
    this.map = map;
    if (!this.paused) this.open();
  }

  open() {
    this.close();
    const query = new URLSearchParams();
    if (this.revision !== null) query.set("after", this.revision);
    if (this.map) query.set("map", "true");
    this.source = new EventSource(`/ui/events?${query}`);
    this.source.onopen = () => { this.waits = 500; this.tell("live"); };
    this.source.onerror = () => {
      this.tell("reconnecting");
      if (this.source?.readyState === EventSource.CLOSED) {  // it was refused: the browser does not try again
        clearTimeout(this.again);
        this.again = setTimeout(() => !this.paused && this.open(), this.waits);
        this.waits = Math.min(10_000, this.waits * 2);
      }
    };
    for (const name of NAMES) {
      this.source.addEventListener(name, (event) => {
        const data = JSON.parse(event.data);
        if (event.lastEventId) this.revision = Number(event.lastEventId);
        this.hear(name, data);
      });
    }
  }

  close() {
    clearTimeout(this.again);
    this.source?.close();
    this.source = null;
  }

  /** Let the stream go until the page is looked at again. */
  rest() {
    this.resting = this.source !== null;
    this.close();
  }

  wake() {
    if (this.resting && !this.paused) this.open();
    this.resting = false;
  }

  stop() {
    this.close();
    this.revision = null;
  }

  toggle() {
    this.paused = !this.paused;
    if (this.paused) { this.close(); this.tell("paused"); } else { this.open(); this.tell("connecting"); }
  }
}
