#!/bin/sh
# dateparser reads "last week" and "two weeks ago" in some of its languages, and returns None in others.
# Expected: with languages=[code], an everyday phrase that is read in English, German and French is read in Spanish and
# Italian, too; at least "two weeks ago" wherever "2 weeks ago" is.
# What happens: Spanish and Italian read numbers in digits only ("hace 2 semanas", not "hace dos semanas"), and Italian
# reads neither "la settimana scorsa", "il mese scorso" nor "l'anno scorso". Nothing is raised.
# Seen with dateparser 1.5.0.
# Why it matters: a product that is tested in English loses the dates of its Italian users silently. Penchant writes
# numbers as digits and says such phrases in dateparser's words (`means` in src/penchant/text/dates/languages).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q dateparser==1.5.0
"$v/bin/python" - <<'EOF'
from datetime import datetime
from importlib.metadata import version

from dateparser.date import DateDataParser

print("dateparser", version("dateparser"))
PHRASES = {
    "en": ("last week", "last month", "last year", "2 weeks ago", "two weeks ago"),
    "de": ("letzte Woche", "letzten Monat", "letztes Jahr", "vor 2 Wochen", "vor zwei Wochen"),
    "fr": ("la semaine dernière", "le mois dernier", "l'année dernière", "il y a 2 semaines", "il y a deux semaines"),
    "es": ("la semana pasada", "el mes pasado", "el año pasado", "hace 2 semanas", "hace dos semanas"),
    "it": ("la settimana scorsa", "il mese scorso", "l'anno scorso", "2 settimane fa", "due settimane fa"),
}
missing = set()
for code, phrases in PHRASES.items():
    parser = DateDataParser(languages=[code], settings={"RELATIVE_BASE": datetime(2026, 5, 20, 12)})
    for english, phrase in zip(PHRASES["en"], phrases):
        found = parser.get_date_data(phrase)
        print(f"{code} {phrase:24} {found.date_obj and found.date_obj.date()} {found.period}")
        if found.date_obj is None:
            missing.add((code, english))
expected = {("es", "two weeks ago"), ("it", "two weeks ago"),
            ("it", "last week"), ("it", "last month"), ("it", "last year")}
raise SystemExit(0 if missing == expected else f"the behaviour has changed: not read are {sorted(missing)}")
EOF
