"""Small talk between the facts of a made-up dialogue: questions on a dozen topics, and sentences that answer them."""

from __future__ import annotations

FILL: dict[str, tuple[str, ...]] = {
    "time": ("ten minutes", "half an hour", "an hour", "a week", "two weeks", "a month", "one season", "a few days"),
    "often": ("now and then", "once a week", "every other day", "twice a month", "each morning", "every evening"),
    "most": ("most people", "many beginners", "experienced hands", "a lot of families", "some teachers", "old books"),
    "good": ("a sensible choice", "worth trying", "easy to keep up", "cheap and simple", "hard to beat", "good enough"),
    "bad": ("a common mistake", "a waste of effort", "not wise", "risky at first", "harder than it looks"),
    "where": ("at home", "in a small flat", "outdoors", "in a shared kitchen", "on a balcony", "near the window"),
}
"""Fills the braces below."""

LEADS = (
    *("", "", "", "", "Thanks! ", "Good to know. ", "Interesting. ", "Hm, all right. ", "Next question: "),
    *("I see. ", "That helps. ", "Let me ask something else. ", "Okay. ", "Ha, fine. ", "Right. "),
)

TOPICS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        (
            "How do I keep basil alive {where}?",
            "Is it true that tomatoes need a lot of sun?",
            "What can I plant that hardly needs care?",
            "How do I know when a pot is too small?",
            "Do plants suffer from draughts {where}?",
        ),
        (
            "Herbs like a bright spot, and {most} give them far too much water in the first weeks.",
            "Let the upper soil dry before you water again, which may take {time} in cool weather.",
            "Turning the pots {often} keeps the stems straight and the leaves even.",
            "A layer of gravel at the bottom is {good}, because roots rot quickly when they stand in water.",
            "Feeding them more than the label says is {bad}, and it shows in pale leaves.",
            "If roots grow out of the holes, the plant wants a new home that is two fingers wider.",
            "Cut the tips before they flower, and new side shoots will come within {time}.",
            "Cold air from a window in winter does more harm than a little shade does.",
        ),
    ),
    (
        (
            "How can I fall asleep faster?",
            "Are naps in the afternoon a bad idea?",
            "Does warm milk really help at night?",
            "Why am I tired although I go to bed early?",
            "Is it bad to read on the phone in bed?",
        ),
        (
            "A steady rhythm helps more than anything else, even if it takes {time} to settle.",
            "For {most}, a dark and slightly cool room makes the biggest difference.",
            "Strong light late in the evening tells the body that the day isn't over yet.",
            "A short nap is {good}, as long as it ends well before the evening.",
            "Writing down what worries you {often} keeps the thoughts from circling in the dark.",
            "Lying awake and watching the clock is {bad}, so get up and read something dull instead.",
            "Coffee stays in the blood for many hours, and not everybody notices what it does.",
            "A walk in daylight sets the inner clock, whatever the weather is like.",
        ),
    ),
    (
        (
            "How do I start running without getting hurt?",
            "What should I do about stiff legs after sport?",
            "Is swimming better than cycling?",
            "How much exercise is enough for an office worker?",
            "Do I need special clothes for jogging in the cold?",
        ),
        (
            "Begin slowly, at a pace that lets you talk, and add a little more after {time}.",
            "Rest days are part of the plan, since muscles grow while you do nothing.",
            "Moving {often} does more for your health than one heroic session on a Sunday.",
            "Two thin layers are {good}, because a thick one leaves you wet and then cold.",
            "Skipping the warm-up is {bad}, above all when the air is chilly.",
            "Water carries your weight, so knees and hips are spared while the heart still works.",
            "For {most}, a simple note of what was done is enough to stay with it.",
            "A bit of soreness is normal, but sharp pain means that you should stop.",
        ),
    ),
    (
        (
            "How do I learn vocabulary so that it sticks?",
            "Is grammar important at the beginning?",
            "Can one learn a language from films alone?",
            "How do I get over the fear of speaking?",
            "Are flash cards old-fashioned?",
        ),
        (
            "Short sessions {often} beat one long evening, because memory needs pauses.",
            "Say new words aloud in a sentence of your own, as odd as it may be.",
            "Grammar is {good} once you have enough words to be confused by it.",
            "Films train the ear, though {most} need the text beside them for {time}.",
            "Translating every single word is {bad}, and it takes the fun out of reading.",
            "A partner who makes the same kind of errors takes away much of the shyness.",
            "Songs are useful too, since the tune reminds you of the next line.",
            "Come back to old material before it is quite forgotten, not after.",
        ),
    ),
    (
        (
            "How do I get stains out of a wooden table?",
            "Is vinegar safe on stone?",
            "What is the quickest way to tidy a messy room?",
            "How often should one wash curtains?",
            "Does baking soda really clean anything?",
        ),
        (
            "Try any cleaner on a hidden corner first, and wait {time} before you judge it.",
            "Acid eats into limestone and marble, so plain soap is the safer way there.",
            "Start with the floor, because a clear floor makes the whole place look better at once.",
            "Fine steel wool with a drop of oil is {good} for rings that glasses leave.",
            "Mixing several products is {bad}, and some of them give off nasty fumes together.",
            "Doing one shelf {often} keeps the chaos from coming back.",
            "For {most}, a box for things without a place saves more time than it costs.",
            "Fabric near the kitchen takes on grease, so it needs washing sooner than the rest.",
        ),
    ),
    (
        (
            "How should I prepare for a job interview?",
            "What do I say when they ask about weaknesses?",
            "Is a cover letter still needed?",
            "How long should a CV be?",
            "When is a good moment to ask for more money?",
        ),
        (
            "Read the advert aloud and find an example from your own work for each line of it.",
            "Honest answers with a small story are {good}, since they are easy to remember.",
            "Learning whole speeches by heart is {bad}, because one lost word stops everything.",
            "Two pages are plenty, and {most} look at the first one for less than a minute.",
            "Ask about the team and the first {time}, which shows that you picture yourself there.",
            "Practise with a friend {often}, and let them interrupt you with silly questions.",
            "Numbers make a claim solid, so say how much, how many or how fast.",
            "A polite note on the next day is a nice touch, and it costs nothing.",
        ),
    ),
    (
        (
            "Why is the sky red in the evening?",
            "How do clouds stay up there?",
            "Does thunder come before or after lightning?",
            "Why does it smell so nice after rain?",
            "Can one tell the weather from the way birds fly?",
        ),
        (
            "When the sun is low its light crosses more air, and the blue part is scattered away.",
            "Droplets in a cloud are tiny, so rising air carries them for {time} without any trouble.",
            "Light is much faster than sound, which is why the flash comes first.",
            "Dry ground stores oils from plants, and drops throw them into the air as a fine mist.",
            "Sayings of farmers are {good} for a laugh, but a barometer does better.",
            "Standing under a lone tree in a storm is {bad}, as everybody learns at school.",
            "Swallows follow insects, and insects keep low when the air is damp.",
            "Looking at the horizon {often} teaches more about it than {most} would think.",
        ),
    ),
    (
        (
            "How can I take better photos with my phone?",
            "What is the golden hour?",
            "Do filters ruin pictures?",
            "How do I make people look natural in photos?",
            "Is it worth buying a tripod?",
        ),
        (
            "Wipe the lens first, since a smear of grease softens everything it sees.",
            "Soft light soon after sunrise or before dusk is {good} for faces and for landscapes.",
            "Zooming with the fingers is {bad}, so take a few steps towards the subject instead.",
            "Give people something to do, and press the button after they have stopped posing.",
            "A steady hand is enough in daylight, while the dark asks for some support.",
            "Put the main thing off the middle and leave it room in the direction it looks.",
            "Go through your pictures {often} and delete the ones that say nothing.",
            "With {most}, fewer effects make a picture that still pleases after {time}.",
        ),
    ),
    (
        (
            "How do I read more books in a year?",
            "Should I finish a novel that bores me?",
            "What is the point of a reading diary?",
            "Are audiobooks cheating?",
            "How do I choose what to read next?",
        ),
        (
            "Keep a volume wherever you tend to wait, and the pages add up after {time}.",
            "Giving up is {good} when fifty pages have not made you curious about the next one.",
            "A line or two {often} is all a diary needs to bring a story back years later.",
            "Listening counts as well, and a fine voice can rescue a slow chapter.",
            "Following only the lists of critics is {bad}, because they read for a living.",
            "Librarians are the best search engine, and they never show you an advertisement.",
            "For {most}, a fixed quarter of an hour at night works better than big plans.",
            "Switch between long and short ones so that you get the pleasure of an ending.",
        ),
    ),
    (
        (
            "How do I save money on groceries?",
            "Is it smart to buy in bulk?",
            "How do I keep track of what I spend?",
            "Are cheap brands worse than expensive ones?",
            "What should go into an emergency fund?",
        ),
        (
            "Plan the meals before you shop, since a list protects you from bright packages.",
            "Large packs are {good} for dry goods, but fresh food often ends up in the bin.",
            "Write every sum down for {time}, and the leaks will show themselves.",
            "Shopping while hungry is {bad}, as the receipts of {most} prove.",
            "House brands frequently come from the same plant, and only the label differs.",
            "Put a fixed sum aside on the day the pay arrives instead of whatever is left.",
            "Compare the price for a kilo {often}, because package sizes shrink quietly.",
            "Cook one big pot and freeze half of it for a lazy evening.",
        ),
    ),
    (
        (
            "How do I train a puppy to walk on a lead?",
            "Do cats get lonely?",
            "What do I do about a bird that got into the house?",
            "How warm should an aquarium be?",
            "Are rabbits happy {where}?",
        ),
        (
            "Reward the behaviour you want at once, since an animal links only what is close in time.",
            "Short lessons {often} are {good}, and they should end while it is still fun.",
            "Shouting is {bad}, because it teaches fear and nothing else.",
            "Some of them enjoy company, others prefer a quiet shelf with a view of the street.",
            "Open a window, darken the rest of the room and leave it alone for {time}.",
            "Sudden changes of temperature stress fish more than a degree too many does.",
            "Small ones need hiding places, and {most} underestimate how far they like to run.",
            "A visit to the vet before anything is wrong makes the later ones easier.",
        ),
    ),
    (
        (
            "What should I pack for a weekend trip?",
            "How do I avoid jet lag?",
            "Is travel insurance worth it?",
            "How do I find quiet places in a busy town?",
            "Do I need to book seats on long rides?",
        ),
        (
            "Lay everything out, then put a third of it back into the wardrobe.",
            "Live by the local clock from the first meal on, even if the first {time} feel strange.",
            "A policy is {good} when a cancelled trip would really hurt your wallet.",
            "Rolling clothes saves room, and {most} swear that it prevents creases as well.",
            "Arriving without any plan for the first night is {bad} in the high season.",
            "Walk two streets away from the main square, and prices as well as noise go down.",
            "A scarf serves as a pillow, a blanket and a curtain.",
            "Stretch your legs {often} on the way, since sitting for hours is what makes you weary.",
        ),
    ),
)
"""Of each: what the user asks, and sentences of which an answer is made."""

EVERYDAY: tuple[tuple[str, str], ...] = (
    ("What is the capital of Portugal?", "The capital of Portugal is Lisbon."),
    ("How many legs does a spider have?", "A spider has eight legs."),
    ("What colour do you get from blue and yellow?", "Blue and yellow give green."),
    ("Which planet is closest to the sun?", "Mercury is closest to the sun."),
    ("How many days are there in a leap year?", "A leap year has 366 days."),
    ("What do bees make?", "Bees make honey."),
    ("What is frozen water called?", "Frozen water is called ice."),
    ("Which month comes after June?", "The month after June is July."),
    ("How many strings does a violin have?", "A violin has four strings."),
    ("What is the opposite of north?", "The opposite of north is south."),
    ("Who wrote Hamlet?", "Hamlet was written by William Shakespeare."),
    ("What is twelve times twelve?", "Twelve times twelve is 144."),
    ("Which animal is known for its long neck?", "The giraffe is known for its long neck."),
    ("What metal is a magnet attracted to?", "A magnet is attracted to iron."),
)
"""Questions that need no memory, with a short answer: what they are answered like is what is asked."""
