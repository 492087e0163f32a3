"""What is inserted into a made-up dialogue: instructions of several kinds, facts about the user, facts in answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penchant_lab.measures.adherence import Check


@dataclass(frozen=True)
class Kind:
    """A kind of standing instruction. wordings: of the instruction; changes: of one that replaces an earlier one of
    this kind. phrases: the values of {p}. comply: (text of several sentences, phrase) -> the text as a good assistant
    would put it. opening: the same for the given beginning of an answer. scored: (short answer, phrase) -> the given
    part of the answer and the scored part ("": there is no likelihood to score).
    """

    name: str
    wordings: tuple[str, ...]
    comply: Callable[[list[str], str], str]
    check: Callable[[str], Check]
    phrases: tuple[str, ...] = ("",)
    changes: tuple[str, ...] = ()
    opening: Callable[[str, str], str] = lambda text, phrase: text
    scored: Callable[[str, str], tuple[str, str]] = lambda answer, phrase: ("", "")


KINDS: tuple[Kind, ...] = (
    Kind(
        "end",
        (
            "Whatever I ask you today, close your reply with the words “{p}”",
            "One rule before we begin: each of your answers has to finish with “{p}”",
            "I would like you to sign off every message with “{p}”, please.",
            "Please make “{p}” the last thing you write in all your replies.",
            "Throughout this chat, your responses should end with “{p}”",
        ),
        lambda sentences, p: f"{' '.join(sentences)} {p}",
        lambda p: Check("end", (p,)),
        ("OK-7", "Over and out.", "So it goes.", "Stay curious!", "That was Marvin.", "Ping 42", "Peace and pancakes."),
        (
            "Forget about “{old}”. From here on, finish your answers with “{p}”",
            "Stop ending with “{old}”; your messages should close with “{p}” now.",
            "I am tired of “{old}”. Please end all further replies with “{p}” instead.",
        ),
        scored=lambda answer, p: (answer, f" {p}"),
    ),
    Kind(
        "start",
        (
            "Open each reply with “{p}”, it makes me smile.",
            "When you answer me, the first words must be “{p}”. Keep that up the whole time.",
            "In this conversation every response of yours starts with “{p}”",
            "I want all of your answers to begin with “{p}”",
        ),
        lambda sentences, p: f"{p} {' '.join(sentences)}",
        lambda p: Check("start", (p,)),
        ("Ahoy!", "Captain's log:", "Breaking news:", "Beep boop.", "Dear diary,", "Listen carefully:"),
        (
            "Enough of “{old}”. From this point on your replies begin with “{p}”",
            "No more “{old}”, please. Start your messages with “{p}” instead.",
            "I changed my mind about “{old}”: every answer should now open with “{p}”",
        ),
        opening=lambda text, p: f"{p} {text}",
        scored=lambda answer, p: ("", p),
    ),
    Kind(
        "name",
        (
            "You can call me {p} in all your replies.",
            "Address me as {p} whenever you write back.",
            "My friends call me {p}, so use that name each time you answer.",
            "Please always refer to me as {p}.",
        ),
        lambda sentences, p: f"Certainly, {p}. {' '.join(sentences)}",
        lambda p: Check("mention", (p,)),
        ("Commodore", "Doctor Bloom", "Zebedee", "Professor Quill", "Boss", "Lady Wren"),
        (
            "Don't call me {old} any more. It is {p} from today on.",
            "{old} was a silly idea. Say {p} to me instead, every time.",
        ),
        opening=lambda text, p: f"Certainly, {p}. {text}",
        scored=lambda answer, p: ("Certainly,", f" {p}"),
    ),
    Kind(
        "upper",
        (
            "Write everything in capital letters, I have trouble reading small print.",
            "My screen is awful: reply in upper case every time, all of it.",
        ),
        lambda sentences, p: " ".join(sentences).upper(),
        lambda p: Check("upper"),
        opening=lambda text, p: text.upper(),
    ),
    Kind(
        "lower",
        (
            "no capital letters in your answers please, ever. i like it all lowercase.",
            "Keep every reply entirely in lower case, names and first words too.",
        ),
        lambda sentences, p: " ".join(sentences).lower(),
        lambda p: Check("lower"),
        opening=lambda text, p: text.lower(),
    ),
    Kind(
        "no-comma",
        (
            "Don't use any commas in your answers in this chat.",
            "I can't stand commas, so leave them out of all your replies.",
        ),
        lambda sentences, p: " ".join(sentences).replace(",", ""),
        lambda p: Check("no-comma"),
    ),
    Kind(
        "sentence",
        (
            "Keep it short: one sentence for each answer, never more.",
            "Answer all of my questions in a single sentence.",
        ),
        lambda sentences, p: sentences[0],
        lambda p: Check("sentences", ("exactly", "1")),
    ),
    Kind(
        "bullets",
        (
            "I want your replies as bullet points, always.",
            "Format all answers as a list with dashes, no running text.",
        ),
        lambda sentences, p: "\n".join(f"- {sentence}" for sentence in sentences),
        lambda p: Check("bullets", ("at least", "1")),
        opening=lambda text, p: f"- {text}",
    ),
)


@dataclass(frozen=True)
class Fact:
    """wordings: how the fact is said, with {x} for what is asked later. question, given: the question, and the
    beginning of the answer, which {x} completes. values: the values of {x}. asked: what the user says before, if the
    fact is in the assistant's answer.
    """

    name: str
    wordings: tuple[str, ...]
    question: str
    given: str
    values: tuple[str, ...]
    asked: tuple[str, ...] = ()


FACTS: tuple[Fact, ...] = (
    Fact(
        "sister",
        ("My sister moved to {x} last spring.", "I am visiting my sister soon, she has a flat in {x}."),
        "Which town does my sister live in?",
        "Your sister lives in",
        ("Trondheim", "Ghent", "Tartu", "Porto", "Graz", "Aarhus"),
    ),
    Fact(
        "dog",
        ("My dog {x} keeps me busy these days.", "We got a dog in autumn, her name is {x}."),
        "What did I name my dog?",
        "Your dog is called",
        ("Biscuit", "Waffles", "Pepper", "Juno", "Mochi", "Rusty"),
    ),
    Fact(
        "allergy",
        ("I have to be careful, since {x} give me a rash.", "Just so you know, I am allergic to {x}."),
        "What food can't I eat?",
        "You are allergic to",
        ("hazelnuts", "prawns", "strawberries", "lentils", "walnuts", "mussels"),
    ),
    Fact(
        "job",
        ("I earn my living as a {x}.", "Working as a {x} leaves me little time."),
        "What is my profession?",
        "You work as a",
        ("locksmith", "beekeeper", "notary", "puppeteer", "surveyor", "glazier"),
    ),
    Fact(
        "dentist",
        ("My appointment at the dentist is on {x}.", "I must not forget the dentist on {x}."),
        "When do I have to see the dentist?",
        "Your appointment at the dentist is on",
        ("14 May", "3 October", "27 February", "19 August", "8 November", "22 March"),
    ),
    Fact(
        "bicycle",
        ("I just painted my bicycle {x}.", "Somebody scratched my {x} bicycle."),
        "What colour is my bicycle?",
        "Your bicycle is",
        ("turquoise", "crimson", "mustard", "violet", "copper", "ivory"),
    ),
    Fact(
        "sofa",
        ("For a new sofa I can spend {x} euros at most.", "I put {x} euros aside for a sofa."),
        "How much money do I have for a sofa?",
        "For the sofa you have",
        ("640", "870", "1150", "395", "720", "980"),
    ),
    Fact(
        "locker",
        ("The code of my locker at the gym is {x}.", "They gave me a gym locker that opens with {x}."),
        "Which code opens my locker at the gym?",
        "Your locker opens with the code",
        ("5183", "9027", "3641", "7750", "2496", "8312"),
    ),
    Fact(
        "instrument",
        ("I have been learning the {x} since January.", "I practise the {x} when nobody is around."),
        "Which instrument do I play?",
        "You play the",
        ("bassoon", "accordion", "cello", "zither", "oboe", "banjo"),
    ),
    Fact(
        "neighbour",
        ("My neighbour {x} borrowed our ladder.", "Upstairs lives {x}, who is a very loud neighbour."),
        "What is the name of my neighbour?",
        "Your neighbour is",
        ("Ottokar", "Philippa", "Anselm", "Rosalind", "Casimir", "Henrietta"),
    ),
    Fact(
        "train",
        ("My train on Friday leaves at {x}.", "On Friday I have to catch the train at {x}."),
        "At what time does my train on Friday leave?",
        "Your train leaves at",
        ("6:52", "17:18", "9:37", "21:04", "13:49", "11:26"),
    ),
    Fact(
        "street",
        ("We moved into a house in {x} Street.", "I live in {x} Street, right behind the school."),
        "Which street is my home in?",
        "You live in",
        ("Juniper", "Falcon", "Lantern", "Mulberry", "Saddler", "Windmill"),
    ),
    Fact(
        "thesis",
        ("I am writing my thesis about {x}.", "My thesis deals with {x}, and it is late."),
        "What is my thesis about?",
        "Your thesis is about",
        ("lighthouses", "salt marshes", "paper money", "comets", "canal locks", "moss"),
    ),
)

ANSWERED: tuple[Fact, ...] = (
    Fact(
        "film",
        ("For tonight I would go with {x}, which is funny and not too long.",),
        "Which film did you recommend to me for the evening?",
        "I recommended",
        ("The Paper Moonlight", "Seven Umbrellas", "Gravel Road", "The Last Ferry", "Orchid Thieves"),
        ("Can you recommend a film for tonight?", "Which film should I watch this evening?"),
    ),
    Fact(
        "oven",
        ("Bake the bread at {x} degrees until it sounds hollow.",),
        "How hot did you say the oven must be for my bread?",
        "The oven must be at",
        ("215", "235", "190", "245", "205"),
        ("I want to bake a simple bread. How hot should the oven be?",),
    ),
    Fact(
        "present",
        ("A nice present for your uncle would be {x}.",),
        "What was your idea for my uncle's present?",
        "As a present I suggested",
        ("a pocket telescope", "a chess clock", "a hammock", "a fountain pen", "a kite"),
        ("My uncle has a birthday soon, what could I give him?",),
    ),
    Fact(
        "paint",
        ("I would paint the hall in {x}, because it has so little daylight.",),
        "Which colour did you advise for my hall?",
        "I advised you to paint the hall in",
        ("apricot", "sage green", "pale lemon", "powder blue", "terracotta"),
        ("Which colour would suit a dark hall?", "What colour should I paint my hall?"),
    ),
    Fact(
        "walk",
        ("A fine route for a Sunday is the path to {x}, some two hours in all.",),
        "Where did you tell me to go for a walk?",
        "I told you to walk to",
        ("Otter Lake", "the Heron Bridge", "Bramble Hill", "the Old Quarry", "Kettle Rock"),
        ("Do you know a good walk for Sunday?",),
    ),
)
"""Facts that stand in the assistant's answer, and nowhere else."""
