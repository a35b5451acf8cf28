#!/bin/sh
# Write run.txt and dev.txt anew from the three packages' pyproject.toml and the .in files beside this script.
# Needs `uv` on the PATH. The files carry hashes and no index address.
set -eu
cd "$(dirname "$0")/.."
projects="packages/waypost-client/pyproject.toml packages/waypost/pyproject.toml packages/omnichannel/pyproject.toml"
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --no-header --extra postgresql --extra otel --no-emit-package waypost-client \
        --find-links "$wheels" "$@"
}
# waypost-client is ours and on no index: a throw-away wheel of it lets the resolver see its own needs.
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
uv build --quiet --wheel --out-dir "$wheels" packages/waypost-client
compile $projects requirements/run.in requirements/dev.in --output-file requirements/dev.txt
compile $projects requirements/run.in --constraint requirements/dev.txt --output-file requirements/run.txt
