"""English."""

from penchant.conversation.instructions.languages.table import Table

_ANSWER = r"(?:answer|repl(?:y|ie)|response|message|output|explanation)s?"
_VERB = (
    r"(?:answer|reply|respond|write|speak|talk|use|avoid|keep|stick|start|begin|end|finish|close|open|give|include|"
    r"add|put|format|address|call|refer|skip|omit|leave out|assume|act|behave|pretend|explain|limit|sign|"
    r"mention|say|point|list|highlight|rely|check|use|compare|describe|call out|"
    r"ask|show|cite|remember|stay|be|make|translate|spell|round|provide|treat|tell|structure|phrase|drop|"
    r"append|state)"
)
_MAKE = r"(?:write|draft|compose|create|generate|design|invent|make up|come up with|prepare|produce)"

ENGLISH = Table(
    durable=(
        r"\b(?:make it a habit|get (?:used to|into the habit)|for all (?:future|following)|"
        r"in all (?:the )?(?:following|future|subsequent)|on a permanent basis|any more from now)\b",
        r"\b(?:from (?:now|here|today|this (?:point|moment)) (?:on(?:wards?)?|forward)|starting (?:now|today)|"
        r"going forward|moving forward|henceforth|in (?:the )?future|as of (?:now|today)|for ever|forever|"
        r"from here on(?: out)?|in all (?:of )?(?:our|my) (?:chats|conversations|sessions)|permanently)\b",
    ),
    always=(
        r"\bever(?=\W*$)",
        r"\b(?:at (?:any|no) (?:point|time)|under no circumstances|in general|without fail|whenever possible)\b",
        r"\b(?:always|never|(?:don't|do not) ever|at all times|by default|remember|"
        r"keep in mind|consistently|without exception|not once)\b",
    ),
    each=(
        r"\b(?:no matter (?:what|which|how)|(?:whatever|whichever|regardless of(?: the| what)?) (?:language|i|"
        r"topic|question)|every answer you|per (?:answer|reply|response|message))\b",
        rf"\b(?:(?:every|each)(?: single| one)?(?: of)?(?: your| the)? (?:subsequent |future |next )?{_ANSWER}|"
        rf"all (?:of )?(?:your |the |my |subsequent |future |further |next |following )*{_ANSWER}|"
        r"all (?:of )?my questions (?:in|with|by|as)|everything in (?:all |only |block |small )?(?:capitals?|caps|"
        r"upper|lower|letters|bold|italics)|"
        rf"(?:in|of|with|to|for) (?:your|subsequent|further) (?:next |future |subsequent )?(?:answers|replies|"
        rf"responses|messages)|"
        rf"your (?:answers|replies|responses|messages)|whatever i ask|every (?:single )?time|"
        rf"everything you (?:write|say|tell|send)|anything you (?:write|say|tell|send)|"
        r"(?:any|every) time you (?:reply|answer|respond|write))\b",
    ),
    here=(
        r"\b(?:(?:for|throughout|during|in) (?:this|our|the) (?:entire |whole )?(?:session|lesson|interview|"
        r"game|exercise|role-?play|dialog)|all (?:day|evening|session)|the whole time|while we (?:chat|talk|"
        r"speak))\b",
        r"\b(?:(?:in|for|throughout|during) (?:the (?:rest|remainder) of )?(?:this|our|the)(?: whole| entire)? "
        r"(?:chat|conversation|session|discussion|dialogue|thread|talk)|for (?:the rest|"
        r"the remainder) of (?:this|our|the) \w+|"
        r"for now|for the time being|for the moment|today|here|unless i (?:say|tell you|ask for|specify)[^,.;]*)\b",
    ),
    rules=(
        r"\b(?:ground rules|rules for (?:this|our|you)|(?:two|three|four|some|a few|\d) (?:rules|requests|"
        r"conditions) before|"
        r"house rules|let's make a deal|let's agree)\b",
    ),
    until=(
        r"\b(?:until|till|'til)\b(?! (?:now|recently)\b)[^,.;:!?\n]+?(?=\s*(?:[,.;:!?\n]|\bso that\b|"
        r"\bplease\b|\bok(?:ay)?\b|$))",
        r"\b(?:as long as|while) (?:we|i|you)(?:'re|'m| are| am| don't| do not| keep| talk| work)\b[^,.;:!?\n]*",
    ),
    counted=(rf"\b(?:for|in|during|over) (?:the |your |my )?next (?P<n>\d+|\w+) (?:{_ANSWER}|questions?|turns?)\b",),
    spanned=(r"\bfor (?:the )?(?:next )?(?P<n>\d+|\w+) (?P<unit>minutes?|hours?|days?|weeks?|months?)\b",),
    when=(
        r"\b(?:when(?:ever)?|each time|every time|any time|anytime|if) (?:i|you) "
        r"(?:ask|send|paste|give|show|write|mention|type|post|share|describe|explain|answer|reply|respond|"
        r"talk|say)\b",
    ),
    verb=(
        rf"(?:^|[,;:\n]\s*|\b(?:and|then|please|pls|also|always|never|ever|don't|do not|not|just|only|simply|"
        rf"so|but|instead|"
        rf"i say|i ask|\w+ly|so|stop|end|now)\s+|(?:^|[\n])\s*[-*•\d.)]+\s*){_VERB}\b",
        rf"\byou (?:must|should|shall|will|need to|have to|are to|can|may|'re to|always|never|only|just)"
        rf"(?: please| always| never| only| not| just)* {_VERB}\b",
        r"\b(?:could|can|would|will) you (?:please |always |kindly |maybe )*(?!have\b)\w+",
        r"\b(?:i want|i need|i'd like|i would like|i expect|i'd prefer|i would prefer|i'd love) you (?:not )?to\b",
        r"(?:^|,\s*)(?:please )?(?:don't|do not) (?!forget|worry|know|you)\w+",
        r"\byou are(?: now)? (?!right|wrong|welcome|great|so|very|too|the best|not)\w+",
        r"\bi'd (?:rather|prefer it if|appreciate it if) you\b|\bit would \w+ (?:me )?if you\b",
        rf"\b(?:{_ANSWER}|examples?|code|prices?|numbers|units|dates|times) (?:\w+ ){{0,3}}(?:should|must|"
        rf"has to|have to|needs? to|are to) \b",
        r"\beach answer you give me starts?\b",
    ),
    act=(
        r"\b(?:you|you'll|your (?:task|job|role) is to)\s+(?:will|must|should|shall|have to|need to|are to|"
        r"'ll|always|never|only)\b",
        r"\byou'll\b|\byou're (?:going|supposed) to\b|\bi'll need you to\b|\b(?:must|should|may|shall|"
        r"can) (?:always|never|not|only)\b|\b(?:has|have|needs?) to be\b",
        r"(?:^|[,:;]\s*)(?:let's|lets|let|can we (?:agree|stick|use|keep)|shall we|we(?:'re| are) going to|"
        r"how about (?:you|we))\b",
        r"^\W*(?:please |just |kindly )?(?:skip|leave|drop|cut|quit|mind|favou?r|prefer|go|choose|pick|try|"
        r"spare|save|work|focus|follow|enforce|apply|count|write|turn|read|prioriti[sz]e|consider|deliver|"
        r"produce|return|present|express|embody|imagine|adopt|take|play) ",
    ),
    wish=(
        r"\b(?:i (?:don't |do not |only |just )?(?:want|need|like|prefer|expect|hate)|i'd (?:like|prefer|love|"
        r"rather|appreciate)|"
        r"i would (?:like|prefer|rather|appreciate)|i can't stand)\b",
    ),
    please=(r"\b(?:please|pls|plz|kindly)\b",),
    alone=(
        r"\bcan we agree (?:that )?you\b",
        r"\b(?:i want you to|i'd like you to|you (?:will|should|must|are (?:going )?to)|please|"
        r"from now,?) (?:act|behave|role-?play|pose) as\b|^act as\b|\b(?:assume|take on|embody|adopt|"
        r"play) the (?:role|persona|part|character|identity) of\b",
        r"\bmy name is [^.!?,]+(?:,? but|,? so|,? and)[^.!?]*\b(?:say|use|call|calls|do that|goes by|prefer)\b",
        r"\bcall me (?!back|at|on|when|if|later|tomorrow|crazy|old)\S+",
        r"\b(?:don't|do not|never|stop) call(?:ing)? me\b",
        r"\bi go by [^\W\d_]+|\baddress me (?:as|by|with)\b|\bmy pronouns are\b|\brefer to me as\b",
        r"\bi'd (?:rather|prefer) (?:it if )?you (?:didn't|don't|wouldn't|not) \w+",
    ),
    habit=(
        r"\b(?:stop|quit) (?!that|it|this)\w+ing\b",
        r"^(?:please,? |and |also |but |ok(?:ay)?,? )*no more \w+",
        r"\b(?:don't|do not) \w+\b[^.!?\n]*\b(?:any ?more|any longer|again)\b",
        r"\benough with the\b",
    ),
    opinion=(
        r"\b(?:i(?:'ve)? (?:noticed?|see)) (?:that )?you\b|\byou (?:keep|always)\b",
        r"\b(?:i (?:really )?(?:hate|dislike|love|like|prefer|can't stand|don't like)|i'm not a fan of)\b",
    ),
    request=(
        r"\b(?:ok|okay|right|deal|alright)\s*\?|\b(?:can we (?:agree|stick|keep)|shall we|how about you)\b",
        r"\b(?:could|can|would|will|may) (?:you|i ask you)\b|\bwould you mind\b|\bplease\b",
    ),
    once=(
        r"\b(?:this (?:question|one|time|once|answer|reply|email|e-mail|text|sentence|paragraph|letter|word|"
        r"task|summary)|"
        r"just (?:once|now)|for once|quick one|only once|the (?:text|article|paragraph|passage|"
        r"story) (?:above|below))\b",
    ),
    artefact=(
        rf"\b{_MAKE}\s+(?:me |us |up )?(?:an? |some |another |two |three |\d+ |the (?:next|"
        rf"first) )(?!(?:answer|reply|response)\b)\w+",
        r"^(?:now |then |ok(?:ay)?,? |please |can you |could you |would you )*(?:rewrite|translate|proofread|"
        r"correct|summari[sz]e|paraphrase|"
        r"rephrase|edit|fix|set up|implement|teach|tell (?:my|him|her|them)|make (?:it|this|that)|"
        r"change (?:it|this|that)|turn (?:it|this|that)|let's write)\b",
        r"\b(?:give|tell|show) me (?:an? |one |two |three |four |five |some |\d+ )\w+",
        r"\bin (?:my|the|a) (?:novel|story|book|game|film|play|script|poem|essay|screenplay)\b",
        r"\bthe (?:advert|ad|letter|note|poem|essay|function|speech|text)\b",
        r"\b(?:teach|tell|ask|remind|asking|telling|reminding|get) (?:my|our|his|her|their|the) \w+",
        r"\bwhat should i (?:write|say|tell)\b",
    ),
    reported=(
        r"\b(?:used to say|ought to|i (?:find|found|think|thought) (?:that )?(?:silly|ridiculous|strange|"
        r"odd))\b|\bwhich i find\b",
        r"\b(?:he|she|they|who|that|(?:my|our|his|her|their|the|a|an) (?:(?!until|till|i|you|we|if|when|for|"
        r"to|that)\w+ ){1,2}?)\s*(?:always |never |often |once |just |has |had )*"
        r"(?:says?|said|tells?|told|asks?|asked|wants?|wanted|wrote|writes|insists?|insisted|demands?|"
        r"demanded|orders?|ordered|"
        r"requires?|required|suggests?|suggested|claimed|replied|wrote|has a rule|says)\b",
    ),
    subject=(
        r"^(?:i(?:'ve)? (?:noticed?|see|saw))\b",
        r"^(?:and |but |so |well,? )*(?:i|we|he|she|they|it|there)'(?:ve|s|re|m)\b(?! (?:going|"
        r"supposed) to (?:use|speak|stick))",
        r"^(?:and |but |so |also |well,? |yesterday,? |today,? |now |from now on,? |always |never |remember,? )*"
        r"(?:i|we|he|she|they|it|there|this|that|my (?!answers|replies)\w+|his \w+|her \w+|their \w+|our \w+) "
        r"(?:always |never |often |usually |just |really |only |still )*"
        r"(?!(?:don't |do not |only |just |really )?(?:want|need|like|prefer|expect|hate|go|answer|reply|"
        r"speak|would|can't stand|"
        r"should|must)\b)\w+",
        r"\b(?:i|we) (?:always|never)\b|\b(?:from now on|until \w+),? (?:i'm|i'll|i am|i will|we're|we'll)\b|"
        r"\bi'm (?:going to|in|on)\b|\bremember (?:the|when|that time|how)\b",
    ),
    unless=(
        r"\b(?:according to|as per)\b[^,]*,",
        r"\bif i (?:asked|told|wanted)\b|\bhow (?:would|do|can|could) i\b|\bis it (?:better|ok|okay|good|rude|"
        r"normal|true)\b|\bdo you (?:always|ever|never)\b|^(?:why|what|when|who|how)\b[^:]*\?",
    ),
    finite=(
        r"\b(?:was|were|is (?:good|great|nice|wrong|right|fine|bad|not|too|so|very|really)|are (?:good|great|"
        r"nice|wrong|right|bad|too|so|very|really)|did|had|went|got|said|made|wrote|came|took|gave|helped|"
        r"worked|says|means|has|does|keeps?|happens?|seems?|contains?|closed|allowed)\b",
    ),
    all_over=(
        r"\b(?:forget|ignore|drop|disregard|cancel|delete|remove|scrap|clear|reset) (?:about )?(?:all|every|"
        r"any|each|everything)\b"
        r"[^.!?\n]{0,40}\b(?:instructions?|rules?|told you|asked|constraints?|preferences?|requests?|said)\b",
        r"\b(?:forget|ignore|drop|disregard|cancel|delete|scrap|clear|reset) (?:my|your|the|our|previous|"
        r"earlier|those|these) "
        r"(?:\w+ )?(?:instructions|rules|constraints)\b",
        r"\bno more rules\b",
    ),
    over=(
        r"^(?:ok(?:ay)?|please|now|actually|and|you can|hey|right|well|alright|thanks|thank you|,|\.|\s)*"
        r"(?:stop (?:that|it|this|doing that|doing this|now)|forget (?:that|it|about that|about it|"
        r"the last one)|drop (?:that|it)|scrap that|"
        r"never mind that|(?:go )?back to normal|(?:as |be |talk |write |answer |"
        r"speak )?normal(?:ly)?(?: again| now)|"
        r"undo that|cut it out|enough of that|that's enough of that|you can stop(?: (?:that|now|it|doing that))?)"
        r"(?:\s*(?:please|now|thanks|thank you|again|then|ok|okay|,))*\s*[.!]*$",
    ),
    release=(
        r"\b(?:you (?:can|may) (?:now )?(?:stop|quit|drop|forget|skip|leave)|you (?:don't|do not|needn't|"
        r"no longer) (?:have|need) to|"
        r"you no longer need to|you needn't|(?:there's )?no (?:more )?need (?:to|for)|"
        r"forget (?:about )?(?:the|what|that)|stop (?!that|it|this)\w+ing|"
        r"(?:don't|do not) \w+\b[^.!?\n]*\bany ?more\b|no longer|drop the|enough (?:with|of) (?:the|your)|"
        r"no more|quit \w+ing|"
        r"you're allowed to|feel free to)\b",
    ),
    negated=(r"\b(?:no|not|never|don't|stop|without|avoid|skip|omit|leave out|drop|\w+n't|quit|rather you)\b",),
    joint=(
        r",?\s+(?:therefore|hence|that's why|which is why|because of that)\s+",
        r",?\s+(?:and|so|but|also|oh and)\s+",
        r"\s*[;–—]\s*",
        r":\s+",
        r"\s-\s",
    ),
    said=(
        r"\b(?:until|till|'til) (?:i|you hear me) (?:say|tell you|write|type|ask you|shout|send|give you|"
        r"hear)(?: to| the words?| you)?\s+"
        r"(?P<x>[^.;!?\n]+)",
    ),
    slots={
        "address": (
            r"\bmy name is\b",
            r"\bcall(?:ing)? me\b|\bi go by\b|\baddress me\b|\brefer to me as\b|\bmy (?:pro)?noun|"
            r"\buse my (?:first |last |nick)?name\b|\bsay [^.!?\n]{1,30} to me\b",
        ),
        "ending": (
            r"\b(?:end|ending|finish|finishing|close|closing|conclude|sign off|append)\b[^.!?\n]{0,40}\b(?:with|"
            r"in|by)\b|\bfinish with\b|\bfollow-?up questions?\b|\bat the end of\b|\bends? (?:in|with)\b|"
            r"\blast (?:line|sentence|word)\b",
        ),
        "opening": (
            r"\b(?:start|starts|starting|begin|begins|beginning|open|opening)\b[^.!?\n]{0,30}\b(?:with|by)\b|"
            r"\bfirst (?:line|word|sentence)\b",
        ),
        "words": (
            r"\bthe (?:words?|phrases?|terms?|expression)\b|\b(?:say|use|write|mention|include|"
            r"contain)s? (?=[\"'_])|\bnever say\b|\bkeywords?\b",
        ),
        "format": (
            r"\b(?:bullet(?:s| points?)?|numbered|list|lists|tables?|json|xml|yaml|csv|markdown|plain text|prose|"
            r"paragraphs?|headings?|headers?|bold|italics?|"
            r"key points?|sections?|html|code block)\b",
        ),
        "code": (r"\b(?:code|code examples?|snippets?|programming)\b",),
        "language": (
            r"\b(?:in|to|into|speak|use|only) (?:british |american |simple |plain |only |proper )?(?:english|"
            r"german|french|spanish|italian|dutch|portuguese|norwegian|swedish|danish|polish|russian|chinese|"
            r"japanese|korean|arabic|hindi|turkish|latin|greek|hebrew|ukrainian|czech|finnish)\b",
            r"\b(?:british|american) (?:english )?spelling\b|\bmy (?:native )?language\b|\blanguage\b",
        ),
        "units": (
            r"\b(?:metric|imperial|units?|kilomet\w+|miles|celsius|fahrenheit|24-?h(?:our)? (?:clock|format|time|"
            r"notation)|(?:in |the )24-?h(?:our)?|am/pm|euros?|"
            r"dollars?|pounds?|francs?|currency|time ?zone|kilograms?|date format)\b",
        ),
        "case": (
            r"\b(?:lower-?case|upper-?case|capitals?|capital letters?|all caps|capitali[sz]ed?|lower case|"
            r"upper case)\b",
        ),
        "emoji": (r"\b(?:emojis?|emoticons?|smileys?)\b",),
        "punctuation": (
            r"\b(?:commas?|exclamation marks?|question marks?|semicolons?|dash(?:es)?|em-?dash(?:es)?|full stops?|"
            r"periods?|ellips[ie]s|punctuation|parenthes[ie]s|quotation marks?|hyphens?)\b",
        ),
        "length": (
            r"\b(?:short|shorter|brief|briefly|concise|concisely|long|longer|lengthy|detailed|in detail|"
            r"one-?liners?|one word|yes or no|terse|succinct|verbose)\b|"
            r"\b(?:\d+|one|two|three|four|five|six|ten|twenty|thirty|forty|fifty|hundred|a few) (?:words?|"
            r"sentences?|lines?|characters?|paragraphs?)\b|\bword limit\b",
        ),
        "sources": (r"\b(?:sources?|cite|citations?|references?|links?)\b",),
        "level": (
            r"\b(?:beginner|expert|five-year-old|like i'm (?:five|5)|layman|complete novice|as (?:for|to) a child|"
            r"eli5|professor)\b",
        ),
        "persona": (
            r"\b(?:act|behave|pose|role-?play) as\b|\b(?:role|persona|part|character|identity) of\b|\bembody\b|"
            r"\bpretend\b|\bplay (?:the|a|my)\b",
            r"\b(?:act|behave|talk|speak|answer|respond|write|reply|pretend|role-?play)\b[^.!?\n]{0,25}\b(?:as if|"
            r"as though|as|like) (?:you|an?|my|the)\b|\byou(?: are|'re)(?: now)? (?!to\b)\w+|\bpretend\b|"
            r"\bin character\b|\bpersona\b|\bpirate\b",
        ),
        "tone": (
            r"\b(?:sugar-?coat|honest(?:ly)?|candid|swear|rhymes?|loose|curt|warm(?:ly)?|kind(?:ly)? tone|gentle|"
            r"direct(?:ly)?|emotion\w*)\b",
            r"\b(?:tone|formal(?:ly)?|informal(?:ly)?|casual(?:ly)?|polite(?:ly)?|friendly|sarcas\w+|humou?r\w*|"
            r"funny|serious|apologi[sz]\w*|sorry|easy words|simple words|simple language|"
            r"short sentences|academic|slang|jargon|professional(?:ly)?|enthusias\w+|flatter\w*|blunt\w*)\b",
        ),
    },
    common=frozenset(
        [
            "the",
            "and",
            "of",
            "is",
            "was",
            "with",
            "that",
            "this",
            "it",
            "for",
            "you",
            "have",
            "are",
            "not",
            "to",
            "in",
            "a",
            "i",
            "me",
            "my",
            "your",
            "be",
            "on",
            "please",
            "no",
        ]
    ),
    stops=frozenset({"stop", "enough"}),
    polite=frozenset(
        [
            "please",
            "now",
            "ok",
            "okay",
            "thanks",
            "thank",
            "you",
            "and",
            "that's",
            "it's",
            "i",
            "say",
            "right",
            "alright",
        ]
    ),
    numbers={
        "one": 1,
        "two": 2,
        "three": 3,
        "four": 4,
        "five": 5,
        "six": 6,
        "seven": 7,
        "eight": 8,
        "nine": 9,
        "ten": 10,
        "few": 3,
        "couple": 2,
    },
    weekdays=("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    months=(
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ),
    tomorrow=r"\btomorrow\b",
    units={"minute": "minutes", "hour": "hours", "day": "days", "week": "weeks", "month": "months"},
)
