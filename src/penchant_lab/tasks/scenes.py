"""The messages that the made-up users of `styles` receive, and what they have to say in reply, without any style."""

from __future__ import annotations

SENDERS = (
    *("Ana", "Ben", "Carla", "Dev", "Elif", "Femi", "Greta", "Hugo"),
    *("Ines", "Jonas", "Kavya", "Lena", "Marco", "Nadia", "Omar", "Petra"),
)

WORDS: dict[str, tuple[str, ...]] = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "time": ("eight", "half past nine", "ten", "noon", "two", "half past three", "five", "six", "seven"),
    "late": ("quarter past eight", "half past ten", "eleven", "one", "quarter to three", "four", "half past six"),
    "place": ("station", "library", "old bakery", "harbour", "town hall", "park gate", "swimming pool", "museum"),
    "spot": ("shed", "cellar", "hall cupboard", "boot of the car", "attic", "blue box", "office", "garage"),
    "tool": ("ladder", "drill", "wheelbarrow", "sewing machine", "tent", "big saw", "projector", "bicycle pump"),
    "room": ("kitchen", "balcony", "roof", "bathroom", "spare bedroom", "front door", "greenhouse", "workshop"),
    "dish": ("lentil soup", "mushroom pie", "fish curry", "plum cake", "potato salad", "bread pudding", "bean stew"),
    "taste": ("smoked salt", "fresh ginger", "lemon peel", "roasted garlic", "brown butter", "a bay leaf", "mint"),
    "plan": ("hike", "film night", "choir practice", "boat trip", "quiz evening", "chess game", "market visit"),
    "pet": ("cat", "old dog", "parrot", "rabbit", "tortoise", "goldfish"),
    "thing": ("parcel", "umbrella", "green scarf", "camera", "set of keys", "grey notebook", "guitar", "lamp"),
    "work": ("budget", "floor plan", "annual report", "survey", "slide show", "schedule", "contract", "newsletter"),
    "part": ("the last table", "page four", "the summary", "the second chart", "the dates", "the cover", "the totals"),
    "book": ("the novel about the lighthouse", "the atlas", "the short stories", "the cookbook", "the biography"),
    "kin": ("sister", "uncle", "neighbour", "colleague", "grandmother", "cousin", "landlord", "coach"),
    "gift": ("a teapot", "concert tickets", "a warm blanket", "garden gloves", "a jigsaw", "good coffee", "a map"),
    "trouble": ("leaks", "makes a noise", "is cold", "smells of smoke", "flickers", "won't close", "shakes"),
    "machine": ("heater", "tap", "fridge", "washing machine", "window", "doorbell", "boiler", "printer"),
}
"""Fills the braces below; "other" is a day that isn't "day"."""

SCENES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        (
            "Can we meet at the {place} on {day} at {time}?",
            "Are you free on {day}? I'll be at the {place} at {time}.",
        ),
        (
            "{day} at {late} suits [me better]",
            "[I can be there on ]{day} at {time}",
            "{other} at {late} [is ]better",
        ),
        (
            "[I will ]wait by the {place}",
            "[we could ]start from the {place}",
            "[I know a ]bench near the {place}",
        ),
        ("[I will ]bring the {thing}", "[there is ]time until {late}", "[my ]{kin} comes along"),
    ),
    (
        (
            "Could I borrow your {tool} on {day}? I do the {room}.",
            "I have no {tool} for the {room}. Is yours free?",
        ),
        ("[the ]{tool} is free on {day}", "[you can ]take the {tool}", "[I ]need the {tool} [myself ]until {day}"),
        ("[it is kept ]in the {spot}", "[the ]key hangs in the {spot}", "[you will find it ]beside the {machine}"),
        ("[it has to be ]back by {other}", "[I can ]help with the {room} on {other}", "[my ]{kin} needs it on {other}"),
    ),
    (
        ("How do you make your {dish}?", "Everybody liked the {dish}. What is in it?"),
        ("[the ]secret is {taste}", "[it all ]begins with {taste}", "[I take a little more of ]{taste}"),
        ("[it ]rests until {time}", "[it goes well ]with {dish}", "[it is ]better after a night in the {spot}"),
        ("[my ]{kin} taught me", "[I ]cook it every {day}", "[the ]recipe lies in the {spot}"),
    ),
    (
        ("Do you want to join the {plan} on {day}?", "We need one more for the {plan} on {day} at {time}. Are you in?"),
        ("[I am ]in for the {plan}", "[the ]{plan} sounds good [to me]", "[I ]can't make the {plan} [this time]"),
        ("[I am ]at the {place} until {time}", "[I ]finish at {late} on {day}", "[my ]{kin} would like it [too]"),
        ("[I can ]bring the {dish}", "[somebody should ]bring the {thing}", "{other} is another chance"),
    ),
    (
        ("Could you look after the {pet} until {day}?", "We are away until {day}. Who feeds the {pet}?"),
        ("[the ]{pet} stays here until {day}", "[I can ]feed the {pet} at {time}", "[my ]{kin} loves the {pet}"),
        ("[the ]bed goes in the {room}", "[the ]food stands in the {spot}", "[there is ]room beside the {machine}"),
        ("[you can leave the ]key at the {place}", "[I am ]home from {late}", "[a ]note about the {pet} helps"),
    ),
    (
        ("Have you seen my {thing}? I had it at the {place}.", "I lost the {thing} on {day}. Any idea where it is?"),
        ("[the ]{thing} is in the {spot}", "[I ]saw the {thing} on {other}", "[my ]{kin} found the {thing}"),
        ("[they know more ]at the {place}", "[it was ]under the {machine}", "[it stood ]near the {room} [all week]"),
        ("[I can ]drop it off on {day} at {late}", "[I ]pass by at {time}", "[it is ]safe until {other}"),
    ),
    (
        ("Is the {work} ready? We need it on {day}.", "What do you think of the {work}? It goes out at {time}."),
        ("[the ]{work} is done but for {part}", "[I would ]change {part}", "[I ]sent the {work} on {other}"),
        ("{part} [still ]wanted another look", "[I put ]new numbers in {part}", "[my ]{kin} checked {part}"),
        ("[you have it ]by {late} on {day}", "[we could ]talk at {time}", "[a ]copy lies in the {spot}"),
    ),
    (
        ("What should I read on the train? I leave on {day}.", "May I keep {book} until {day}?"),
        ("{book} is [the ]best", "[you may ]keep {book} until {other}", "[I would ]begin with {book}"),
        ("[it lies ]in the {spot}", "[my ]{kin} has a copy", "[the ]{place} lends it from {day}"),
        ("[it ]ends with a {plan}", "[one ]evening is enough, from {time}", "[it ]made me think of {dish}"),
    ),
    (
        ("What can I give my {kin} on {day}?", "My {kin} has a birthday on {day}. Any ideas for a present?"),
        ("{gift} never fails", "[I would ]take {gift}", "{gift} would do, or {book}"),
        ("[the ]shop by the {place} has it", "[the ]shop closes at {late}", "[I ]saw one at the {place}"),
        ("[I can ]wrap it on {other}", "[we could ]share it with the {kin}", "[a ]card and {dish} go with it"),
    ),
    (
        (
            "The {machine} in the {room} {trouble} again. What now?",
            "The {machine} {trouble}. Who can repair it?",
        ),
        ("[the ]{machine} must be off first", "[I can ]see to it on {day}", "[my ]{kin} repairs every {machine}"),
        ("[the ]switch is in the {spot}", "[it only ]needs the {tool}", "[it was the ]same in the {room} [last year]"),
        ("[nobody should ]use it before {late}", "[I ]come by at {time} on {other}", "[the ]papers are in the {spot}"),
    ),
    (
        ("When do you arrive on {day}? I can pick you up.", "Shall I fetch you from the {place} on {day}?"),
        ("[my ]train comes in at {late}", "[I ]arrive on {day} at {time}", "[it will be ]{late} at the {place}"),
        ("[I ]carry the {thing}", "[I ]travel with my {kin}", "[I ]have the {tool} with me [as well]"),
        ("[we could ]eat {dish} afterwards", "[I can also ]walk from the {place}", "[I ]leave again on {other}"),
    ),
    (
        ("How was the {plan}? I am sorry that I missed it.", "Did you like the {plan} on {day}?"),
        ("[the ]{plan} was better than on {other}", "[we all ]liked the {plan}", "[the ]{plan} ended at {late}"),
        ("[there was ]{dish} for everybody", "[my ]{kin} talked about {book}", "[it ]rained near the {place}"),
        ("[the ]next one is on {other}", "[you ]left the {thing} here[, by the way]", "[I ]kept {gift} for you"),
    ),
)
"""Of each: wordings of the message, then of the three clauses of a reply. In brackets: what a short reply drops."""
