"""Planted histories: a few things that happen again and again, so that only the date of a request tells them apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from penchant.history.records import History, Record, Request

START, NOW = datetime(2023, 9, 4, 8, tzinfo=UTC), datetime(2026, 5, 20, 12, tzinfo=UTC)
RECORDS, USERS = 160, 4
SEASONS = ("spring", "summer", "autumn", "winter")


@dataclass(frozen=True)
class Asked:
    """A request, and the ids of the records that answer it."""

    language: str
    kind: str
    history: History
    request: Request
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """things: what happens ("... {who}"), and the question about it ("... {when}"). times: how each kind of time is
    said. open: a question about anything.
    """

    things: tuple[tuple[str, str], ...]
    open: str
    times: dict[str, str]
    months: tuple[str, ...]
    seasons: tuple[str, str, str, str]


WORDS = {
    "en": Words(
        (
            ("I had lunch with {who}.", "Who did I have lunch with {when}?"),
            ("{who} lent me a book.", "Who lent me a book {when}?"),
            ("I played chess against {who} and lost.", "Who did I play chess against {when}?"),
            ("I walked along the river with {who}.", "Who did I walk along the river with {when}?"),
        ),
        "What did I do {when}?",
        {"day": "on {d} {month} {y}", "month": "in {month} {y}", "season": "in {season} {y}", "last week": "last week",
         "two weeks ago": "two weeks ago", "last": "most recently", "first": "for the first time"},
        ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
         "December"),
        ("spring", "summer", "autumn", "winter"),
    ),
    "de": Words(
        (
            ("Ich war mit {who} Mittag essen.", "Mit wem war ich {when} Mittag essen?"),
            ("{who} hat mir ein Buch geliehen.", "Wer hat mir {when} ein Buch geliehen?"),
            ("Ich habe gegen {who} Schach gespielt.", "Gegen wen habe ich {when} Schach gespielt?"),
            ("Ich war mit {who} am Fluss spazieren.", "Mit wem war ich {when} am Fluss spazieren?"),
        ),
        "Was habe ich {when} gemacht?",
        {"day": "am {d}. {month} {y}", "month": "im {month} {y}", "season": "im {season} {y}",
         "last week": "letzte Woche", "two weeks ago": "vor zwei Wochen", "last": "zuletzt", "first": "zum ersten Mal"},
        ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
         "Dezember"),
        ("Frühling", "Sommer", "Herbst", "Winter"),
    ),
    "fr": Words(
        (
            ("J'ai déjeuné avec {who}.", "Avec qui ai-je déjeuné {when} ?"),
            ("{who} m'a prêté un livre.", "Qui m'a prêté un livre {when} ?"),
            ("J'ai joué aux échecs contre {who}.", "Contre qui ai-je joué aux échecs {when} ?"),
            ("Je me suis promené au bord de la rivière avec {who}.", "Avec qui me suis-je promené {when} ?"),
        ),
        "Qu'est-ce que j'ai fait {when} ?",
        {"day": "le {d} {month} {y}", "month": "en {month} {y}", "season": "en {season} {y}",
         "last week": "la semaine dernière", "two weeks ago": "il y a deux semaines", "last": "dernièrement",
         "first": "pour la première fois"},
        ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
         "décembre"),
        ("printemps", "été", "automne", "hiver"),
    ),
    "es": Words(
        (
            ("Comí con {who}.", "¿Con quién comí {when}?"),
            ("{who} me prestó un libro.", "¿Quién me prestó un libro {when}?"),
            ("Jugué al ajedrez contra {who}.", "¿Contra quién jugué al ajedrez {when}?"),
            ("Paseé por el río con {who}.", "¿Con quién paseé por el río {when}?"),
        ),
        "¿Qué hice {when}?",
        {"day": "el {d} de {month} de {y}", "month": "en {month} de {y}", "season": "en {season} de {y}",
         "last week": "la semana pasada", "two weeks ago": "hace dos semanas", "last": "últimamente",
         "first": "por primera vez"},
        ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre",
         "diciembre"),
        ("primavera", "verano", "otoño", "invierno"),
    ),
    "it": Words(
        (
            ("Ho pranzato con {who}.", "Con chi ho pranzato {when}?"),
            ("{who} mi ha prestato un libro.", "Chi mi ha prestato un libro {when}?"),
            ("Ho giocato a scacchi contro {who}.", "Contro chi ho giocato a scacchi {when}?"),
            ("Ho passeggiato lungo il fiume con {who}.", "Con chi ho passeggiato lungo il fiume {when}?"),
        ),
        "Che cosa ho fatto {when}?",
        {"day": "il {d} {month} {y}", "month": "a {month} {y}", "season": "in {season} {y}",
         "last week": "la settimana scorsa", "two weeks ago": "due settimane fa", "last": "ultimamente",
         "first": "per la prima volta"},
        ("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre",
         "novembre", "dicembre"),
        ("primavera", "estate", "autunno", "inverno"),
    ),
}  # fmt: skip
NAMES = (
    "Ada", "Bruno", "Carla", "Dario", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Karim", "Lena", "Marek",
    "Nora", "Oskar", "Petra", "Quentin", "Rosa", "Sven", "Tara", "Umberto", "Vera", "Wanda", "Xenia", "Yusuf", "Zoe",
)  # fmt: skip


def planted(seed: int = 0) -> list[Asked]:
    """Requests of `USERS` users in each language; each kind of time is asked for once with, once without the thing."""
    return [one for language in WORDS for user in range(USERS) for one in _user(language, f"{language}-{seed}-{user}")]


def _user(language: str, name: str) -> list[Asked]:
    random, words = Random(name), WORDS[language]
    span = NOW - timedelta(hours=20) - START
    whens = sorted(START + span * random.random() for _ in range(RECORDS - 6))
    whens += [NOW - timedelta(days=days, hours=random.randint(1, 5)) for days in (16, 15, 14, 9, 8, 6)]
    things = [random.randrange(len(words.things)) for _ in whens]
    history = History(
        [
            Record(words.things[thing][0].format(who=random.choice(NAMES)), id=f"{name}/{at}", when=when)
            for at, (when, thing) in enumerate(zip(whens, things, strict=True))
        ],
        name,
    )
    of = {f"{name}/{at}": thing for at, thing in enumerate(things)}
    made = []
    for kind, said in words.times.items():
        told = history[random.randrange(RECORDS // 4, RECORDS - 8)]
        assert told.when is not None
        season = (told.when.month % 12) // 3 - 1
        when = said.format(
            d=told.when.day, month=words.months[told.when.month - 1], y=told.when.year, season=words.seasons[season]
        )
        inside = _inside(kind, told.when)
        hits = [record for record in history if record.when is not None and inside(record.when)]
        for thing in (None, of[told.id] if kind in ("day", "month", "season", "last", "first") else of[hits[0].id]):
            found = [record.id for record in hits if thing is None or of[record.id] == thing]
            if kind in ("last", "first"):
                if thing is None:
                    continue
                found = [found[-1 if kind == "last" else 0]]
            question = words.open if thing is None else words.things[thing][1]
            made.append(Asked(language, kind, history, Request(question.format(when=when), now=NOW), tuple(found)))
    return made


def _inside(kind: str, told: datetime) -> Callable[[datetime], bool]:
    def season(when: datetime) -> tuple[int, int]:
        return (when.year + (when.month == 12), (when.month % 12) // 3)

    monday = (NOW - timedelta(days=NOW.weekday())).date()
    return {
        "day": lambda when: when.date() == told.date(),
        "month": lambda when: (when.year, when.month) == (told.year, told.month),
        # The winter of a year is the one that it begins with, or ends with.
        "season": lambda when: season(when) == season(told)
        or (told.month in (12, 1, 2) and season(when) in ((told.year, 0), (told.year + 1, 0))),
        "last week": lambda when: monday - timedelta(days=7) <= when.date() < monday,
        "two weeks ago": lambda when: monday - timedelta(days=14) <= when.date() < monday - timedelta(days=7),
        "last": lambda when: True,
        "first": lambda when: True,
    }[kind]  # fmt: skip
