import time

import pytest

from omnichannel.messages.model import Channel
from omnichannel.messages.rendering import InvalidTemplate, Source, Words, check_source, render, render_source


def test_a_template_says_what_its_variables_say() -> None:
    text = "Hi {{ user.name }}:{% for item in items %} {{ item }}{% if not loop.last %},{% endif %}{% endfor %}\n"
    assert render(text, {"user": {"name": "Ada"}, "items": [1, 2]}, field="body") == "Hi Ada: 1, 2\n"


def test_each_channel_may_say_something_of_its_own() -> None:
    source = Source(
        words=Words(subject="{{ a }}", body="long {{ a }}"),
        variants={Channel.EMAIL: Words(subject="mail {{ a }}", body="{{ a * 2 }}")},
    )
    shown = render_source(source, {"a": 21})
    assert shown.words == Words(subject="21", body="long 21")
    assert shown.variants[Channel.EMAIL] == Words(subject="mail 21", body="42")


@pytest.mark.parametrize(
    "text",
    [
        "{{ missing }}",
        "{{ user.missing }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ user.items.__globals__ }}",
        "{% if",
        "{{ 1 / 0 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 10 ** 100000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ 'x'.replace('', 'y' ) }}",
        "{{ 'x'|center(1000000000) }}",
        "{{ range(1000000000) }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in user recursive %}{{ loop(user) }}{% endfor %}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% include 'other' %}",
        "{% for a in range(9999) %}{{ 'x' }}{{ long }}{% endfor %}",
        "{% set a = long %}" + "{% set a = a ~ a %}" * 40 + "{{ a|length }}",
        "{% set a = long %}" + "{% set a = a + a %}" * 40 + "{{ a|length }}",
        "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a|length }}",
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a|tojson }}",
        "{% set a %}{{ long }}{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40 + "{{ a|length }}",
        "{% set a %}{% for n in range(9999) %}" + "x" * 5000 + "{% endfor %}{% endset %}{{ a|length }}",
        "{% filter upper %}{% for n in range(9999) %}" + "x" * 5000 + "{% endfor %}{% endfilter %}",
        "{{ ('x'" + "|replace('x', 'xx')" * 40 + ")|length }}",
        "{{ ('x'" + "|replace('', 'xx')" * 40 + ")|length }}",
        "{{ ('\\\\'" + "|tojson" * 40 + ")|length }}",
        "{{ range(9999)|join('" + "x" * 5000 + "')|length }}",
        "{{ range(9999)|map('replace', '9', '" + "x" * 5000 + "')|list|length }}",
        "{% for n in range(9999) %}{{ range(9999)|map('abs')|sum }}{% endfor %}",
        "{% for n in range(9999) %}{{ long|urlize|length }}{% endfor %}",
        "{% for n in range(9999) %}{{ long|striptags|length }}{% endfor %}",
        "{% for n in range(9999) %}{{ long.upper()|length }}{% endfor %}",
        "{{ ('" + "www.a.com " * 1000 + "')|urlize(target='" + "x" * 5000 + "')|length }}",
        "{{ [1]|batch(1000000000, 'x')|list|length }}",
        "{{ [1]|slice(1000000000)|list|length }}",
        "{{ [[1], [2]]|sum(start=[]) }}",
        "{{ 1|round(1000000000) }}",
        "{{ [[1]]|tojson(indent=1000000000) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ ''['{:>1000000000}'.format](1) }}",
        "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
        "{% for n in range(9999) %}" + "{{ '' }}" * 5000 + "{% endfor %}",
        "{% for n in range(9999) %}" + "{% set a = user.name %}" * 2000 + "{% endfor %}",
    ],
)
def test_what_a_template_may_not_do_is_refused_soon(text: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidTemplate) as raised:
        render(text, {"user": {"name": "Ada"}, "long": "y" * 1000}, field="body")
    assert raised.value.field == "body"
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ 'a' ~ 1 ~ none }}{{ 'b' + 'c' }}", "a1Nonebc"),
        ("{{ items|join(', ') }} {{ items|map('upper')|join(attribute=0) }}", "ab, cd AC"),
        ("{{ 'tea'|replace('t', 'p') }} {{ 'aaa'|replace('a', 'b', 2) }}", "pea bba"),
        ("{% for row in [1, 2, 3]|batch(2, 0) %}{{ row }}{% endfor %}", "[1, 2][3, 0]"),
        ("{% for row in [1, 2, 3]|slice(2) %}{{ row }}{% endfor %}", "[1, 2][3]"),
        ("{{ 2.345|round(1) }} {{ [1, 2.5]|sum }} {{ {'a': '<'}|tojson }}", '2.3 3.5 {"a": "\\u003c"}'),
        ("{{ items|map('upper')|sort|first }} {{ missing|default('-') }} {{ 'x'|upper is upper }}", "AB - True"),
        ("{% set a %}{{ items[0] }}!{% endset %}{{ a }}{% filter upper %}{{ items[1] }}{% endfilter %}", "ab!CD"),
        ("{{ 'a b'.split()|length }} {{ user.items()|list }} {{ user|dictsort }}", "2 [('n', 1)] [('n', 1)]"),
        (
            "{{ 'see www.example.com'|urlize }}",
            'see <a href="https://www.example.com" rel="noopener">www.example.com</a>',
        ),
        ("{% for n in range(9999) %}{{ n|abs }}{% endfor %}", "".join(map(str, range(9999)))),
    ],
)
def test_what_templates_are_made_of_works_within_the_bounds(text: str, shown: str) -> None:
    assert render(text, {"items": ["ab", "cd"], "user": {"n": 1}}, field="body") == shown


def test_html_is_escaped_where_texts_are_joined() -> None:
    text = "<b>{{ a }}</b>{{ '<i>' ~ a }}{{ ('<u>'|safe) ~ a }}{{ [a, '<s>'|safe]|join('<br>'|safe) }}"
    shown = "<b>&lt;</b>&lt;i&gt;&lt;<u>&lt;&lt;<br><s>"
    assert render(text, {"a": "<"}, field="html") == shown


def test_numbers_are_still_reckoned_with() -> None:
    assert render("{{ 7 % 3 }} {{ 6 * 7 }}", {}, field="body") == "1 42"


def test_a_template_that_cannot_be_parsed_is_named_with_its_channel_and_line() -> None:
    source = Source(words=Words(subject="s", body="b"), variants={Channel.EMAIL: Words(subject="s", body="\n{% if %}")})
    with pytest.raises(InvalidTemplate, match="line 2") as raised:
        check_source(source)
    assert (raised.value.field, raised.value.channel) == ("body", Channel.EMAIL)
