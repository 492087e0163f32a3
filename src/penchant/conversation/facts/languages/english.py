"""English."""

from penchant.conversation.facts.language import VALUE, Language, Topic, one_of, roles, words

_TITLE = r"(?:(?:dr|doctor|mr|mrs|ms|prof|professor)\.? +)?"
_ADVERB = (
    r"(?:(?:\w+ly|really|very|now|also|still|always|never|usually|often|normally|sometimes|currently|actually|just|not|both|"
    r"recently|finally|regularly|rarely|mostly|only|absolutely|quite|so|too|already|originally|typically|even|kind of|"
    r"generally|occasionally|hardly ever|definitely|all|been|don't|do not|can't|cannot|can) +){0,3}"
)
_I = r"\b(?:I|we)(?:'ve|'d| have| had)? +" + _ADVERB
_AM = r"\b(?:(?:I|we)(?:'m|'re| am| are| was| were|'ve been| have been)|I 'm) +" + _ADVERB
_JOBS = (
    "nurse teacher doctor engineer developer programmer baker carpenter electrician plumber lawyer student accountant "
    "architect journalist writer designer chef cook driver firefighter pharmacist dentist physicist chemist biologist "
    "mathematician scientist researcher librarian farmer gardener hairdresser mechanic pilot photographer musician actor "
    "actress artist painter translator social-worker waiter waitress paramedic midwife vet veterinarian professor "
    "lecturer manager consultant salesperson secretary soldier surgeon therapist psychologist counselor butcher tailor "
    "welder judge sailor freelancer pensioner retiree postman"
)
_PERSONS = roles(
    "dentist: dentist; doctor: doctor gp physician; boss: boss supervisor; therapist: therapist psychologist; "
    "lawyer: lawyer solicitor attorney; hairdresser: hairdresser barber; landlord: landlord landlady; vet: vet; "
    "accountant: accountant; partner: wife husband girlfriend boyfriend fiancé fiancée partner spouse; "
    "coach: coach trainer; bank: bank; insurer: insurer"
)
_PETS = roles("dog: dog puppy; cat: cat kitten; horse: horse; parrot: parrot; rabbit: rabbit; hamster: hamster")
_PERSON, _PET = one_of(_PERSONS), one_of(_PETS)
_PRESENT = (
    "despise|detest|refuse to|prioriti[sz]e|find(?! (?:it|that|this|your|the)\\b)|do my|have to (?:wear|avoid)|live|work|study|teach|drive|own|play|run|cook|bake|paint|draw|knit|sew|sing|dance|swim|climb|hike|cycle|bike|"
    "collect|grow|keep|wear|look forward to|have always|smoke|drink|eat|speak|write|watch|commute|rent|share|suffer|take|use|love|like|enjoy|"
    "prefer|hate|dislike|adore|stand|volunteer|travel|belong|believe|attend|practi[cs]e|coach|train|raise|fear|miss|"
    "dream|sleep|wake|get up|go|meet|read|listen|follow|support|vote|breed|ride|ski|sail|fish|camp|garden|walk|"
    "meditate|pray|fast|avoid|tolerate|digest|afford|earn|save|invest|plan|intend|come from|manage|run|serve|"
    "perform|compete|treasure|cherish|value|do (?:yoga|pottery|karate|judo|sports|volunteer\\w*)|have to take"
)
_PAST = (
    "did my|did an?|traded in|lend|lent|moved|was born|were born|grew up|went|visited|met|married|graduated|finished|won|lost|started|began|joined|"
    "adopted|bought|sold|chose|found|helped|roasted|mentored|developed|emailed|picked|broke|got|took|signed up|quit|left|retired|became|ran|attended|travelled|traveled|hiked|"
    "camped|painted|made|built|learned|learnt|watched|celebrated|turned|used to|studied|worked|lived|divorced|changed|"
    "switched|gave|donated|volunteered|spent|decided|planted|booked|bake[d]|cooked|played|taught|ordered|rented|"
    "planned|saved|passed|failed my|became|had|published|opened|launched|received|fell|hurt|raised|created|organi[sz]ed|"
    "performed|drew|wrote|swam|climbed|stopped|gave up|picked up|took up|grew|read|saw|applied|enrolled|inherited|"
    "explored|discovered|dreamt|dreamed|competed|hosted|designed|carved|sang|danced"
)
_DROPPED = "lost|took|started|got|went|bought|sold|quit|moved|adopted|visited|finished|met|joined|broke|been|won|ran"
_LIKING = "loved?|liked?|enjoy(?:ed)?|prefer(?:red)?|hated?|disliked?|adored?|wanted|needed"
_MATTER = (
    r"it\b(?! (?:here|when))|that\b|this\b(?! (?:city|town|neighbou?rhood))|your\b|you\b|how you|what you|the (?:idea|"
    r"suggestion|way|answer|first|second|third|last|sound|look|tone|text|draft|version|one|result|following|above|"
    r"article|code|file|link|message|output|paragraph|list|title|summary)\b|one of (?:your|these|those)|them\b|these\b|"
    r"those\b|to (?:know|see|hear|ask|say|think|get|have|be|make)\b"
)
_TASK = (
    r"question|request|task|problem|bug|issue|error|idea|look|doubt|list|text|table|file|data ?set|essay|paragraph|"
    r"sentence|document|following|feeling|point|word|spreadsheet|function|class|string|array|code|program|script|query|"
    r"hard time|hunch|go at|try|chat|think"
)

ENGLISH = Language(
    code="en",
    stemmer="english",
    hints=words("i we my our me us") | words(_DROPPED.replace("|", " ")),
    says=(
        _I + rf"(?:{_LIKING}|{_PRESENT})\b(?! (?:{_MATTER}))",
        _I + rf"(?:{_PAST})\b(?! (?:that\b|you\b|your\b|to (?:know|think|ask|the (?:link|page|conclusion))))",
        rf"^(?:(?:just|recently|finally|also|yesterday|hey|hi|wow|yeah|yep|thanks)[,!]? )?(?:{_DROPPED}) (?:my|an?|some|two|three|"
        r"new|another|married|\w+ing|to (?!it\b|the point|know)\w+)\b",
        r"\b(?:is|are|'s|means?) (?:\w+ )?(?:important|special|dear|everything|the world|a lot) to (?:me|us)\b",
        r"\b(?:is|are|'s|was) (?:one of )?my (?:\w+ )?(?:fave|favou?rites?|go-to|hobby|passion|dream|hometown|home)\b",
        _AM
        + r"(?!(?:trying|looking|wondering|asking|talking|referring|getting|having (?:trouble|problems?|issues?|difficult)|"
        r"thinking|feeling|hoping|kidding|joking|seeing|using|sending|assuming|guessing|doing (?:ok|well|fine|good|great)|"
        r"saying|being|missing|running (?:into|this|the)|pasting|sharing|wishing|sitting|losing|loving|writing (?:this|to)|"
        r"counting|rooting|going)\b)\w{2,}ing\b",
        _AM + r"(?:lucky|thrilled|stoked|blessed|going on|going to (?:start|open|move|visit|have|be a))\b",
        r"\b(?:I|we)(?:'ve| have| 've) (?:lived|worked|known|owned|played|had|moved|changed|switched|started|decided|quit|"
        r"bought|sold|adopted|joined|taken up|given up|retired|visited|travelled|traveled|read|seen|won|loved|wanted|"
        r"always|never|been (?:to|in|at|on|with|married|friends|together|\w+ing|a\b|an\b|vegetarian|vegan))",
        rf"\b(?:I|we)(?:'ve got| have| had| got|'ve had) {_ADVERB}(?:an?|the|my|our|two|three|four|five|six|\d+|several|"
        rf"many|no|some|lots of|twins|diabetes|asthma|insomnia|anxiety|celiac|coeliac|\w+ (?:hair|eyes|children|kids|"
        rf"allerg\w+|disease))\b(?! (?:\w+ )?(?:{_TASK})s?\b)",
        _AM
        + r"(?:an? (?!bit\b|little\b|lot\b|fan of (?:it|that|this)|while)|\d+\b|the (?:father|mother|owner|head|oldest|"
        r"youngest|only|manager|director|founder|captain)|(?:\w+ly )?(?:allergic|vegetarian|vegan|pescatarian|"
        r"intolerant|lactose|gluten|diabetic|married|single|divorced|widowed|engaged|pregnant|retired|unemployed|"
        r"self-employed|freelanc\w+|born|raised|from|afraid|scared|terrified|left-handed|colou?r-?blind|deaf|blind|"
        r"transgender|trans|gay|lesbian|bisexual|queer|muslim|christian|jewish|catholic|buddhist|hindu|atheist|"
        r"interested|passionate|into|keen|fond|obsessed|addicted|bad at|good at|proud of my|dyslexic|autistic|"
        r"based|in my (?:\w+ )?(?:twenties|thirties|forties|fifties|sixties|seventies)|years old|"
        r"(?:german|french|italian|spanish|english|british|american|irish|polish|dutch|indian|chinese|japanese|swedish))\b|"
        r"(?:getting married|moving|learning|studying|training|working (?:at|as|for|on my|from|nights|towards)|living|"
        r"teaching|planning|flying|travell?ing|visiting|leaving|saving|expecting|starting|taking (?:a|up|part)|"
        r"volunteering|raising|writing an? (?:book|novel|thesis|memoir)|thinking (?:of|about) \w+ing|considering|"
        r"renovating|recovering|applying|preparing for|organi[sz]ing|joining|adopting|attending|running|building|"
        r"growing|hosting|reading \w+|practi[sc]ing|painting|going (?:on|to (?:the|my|a|see|be|have|start|visit|move|"
        r"study|college|university|[a-z]+land\b)))\b)",
        r"\b(?:makes?|bores?|scares?|annoys?|relaxes|calms?|bothers?|stress(?:es)?|fascinates?|terrif(?:y|ies)|upsets?) me\b",
        r"\bI(?:'m| am) (?:more of a|opposed to|hired|averse|against \w+ing)\b|\bI (?:can't|cannot|can) (?:swim|drive|cook|sing|dance|ski|ride|eat|stand|drink|digest|speak|read|walk|hear|see well|sleep)\b",
        r"\bmy name(?:'s| is)|\bcall me \w+|\bI(?:'m| am) called",
    ),
    mine=(
        r"\b(?:my|our) (?:(?:new|old|older|younger|little|big|eldest|oldest|youngest|elder|late|twin|first|best|dear) )*"
        r"([^\W\d_]+)(?:-in-law)?(?: [^\W\d_]+)?? (?:is|are|was|were|isn't|aren't|wasn't|don't|doesn't|can't|hasn't|has|have|had|lives?|lived|works?|worked|died|"
        r"passed|turned|turns|loves?|likes?|hates?|moved|got|gets|suffers|speaks|plays|played|came|comes|broke|taught|"
        r"gave|started|makes|made|helps?|helped|goes|went|needs|keeps?|means?)\b",
        r"\b(?:my|our) ([^\W\d_]+)'s (?:name|birthday|allergic|called|\w+ing|an?|\d+)\b",
        r"\b(?:my|our) (?:\w+ )?([^\W\d_]+?)(?:'s)? (?:leaves|starts|begins|opens|takes place|ends)\b",
    ),
    never=(
        r"\b(?:in mind|keeps? (?:getting|crashing|failing|saying))\b",
        r"^(?:your|you|it|that) .*\bto me\b",
        r"\b(?:I|we) (?:see|get it|understand|agree|disagree|hope|mean|guess|wonder|bet|suppose)\b(?! (?:a|my|the)\b)",
        r"\bI (?:think|believe|know) (?:so|not|that's (?:it|all)|you|your|this (?:is|works)|it\b|that\b)",
        r"\bI(?:'m| am| was) (?:just )?(?:wondering|asking|looking for|trying|not sure|sorry|confused|curious|fine|good|"
        r"well|ok|okay|done|glad|happy to (?:hear|see)|so (?:glad|happy|proud|sorry|excited) (?:for you|to hear|you)|"
        r"here|ready|all set|talking about|referring)\b(?! at)",
        r"\b(?:I|we)(?:'d| would) (?:like|love|prefer|appreciate|rather)\b",
        r"\b(?:I|we) (?:just |really |also )?(?:want|need|wish|expect|require) (?:you|to know|an?\b|the\b|some\b|it\b|that\b|"
        r"this\b|your\b|help)",
        r"\bI (?:don't|do not|didn't|can't|cannot|couldn't) (?:quite |really )?(?:understand|get|follow|see|know|remember|"
        r"find|open|make out|seem|think)\b",
        r"\b(?:your|the|this|that|first|second|third|last|previous) (?:answer|response|suggestion|solution|reply|version|"
        r"explanation|output|approach|advice|code)\b",
        r"\bI(?:'ve| have)? ?(?:just |already )?(?:sent|pasted|uploaded|attached|posted|shared|copied|installed|ran|typed|"
        r"clicked|tried|compiled|tested) (?:you|the|it|this|that|your|a file|again|both|to (?:run|install|compile|fix))\b",
        r"\bI(?:'ll| will) (?:paste|send|try|let you|give you|show|tell|ask|post|be back|copy|upload|check)\b",
        r"\bmy (?:last|next|first|previous|other|only|original|second)? ?(?:question|problem|point|bad|mistake|code|program|"
        r"script|function|query|request|message|prompt|essay|draft|text|input|output|guess|apologies|pleasure)\b",
        r"\b(?:error|exception|bug|compile|traceback|syntax)\b",
    ),
    before=(
        r"\b(?:if|suppose|supposing|imagine|pretend|assume|assuming|whether|as though|wish|hypothetically|unless|"
        r"let's say|(?:he|she|they|who|someone|somebody|friend|people|character|mum|mom|dad|(?:my|the|a) \w+) "
        r"(?:says?|said|told|asks?|asked|thinks?|thought|writes?|wrote|claims?|claimed|replied|shouted)|"
        r"(?:thank|thanks|hope|glad|know|say|think|sure|believe) (?:you )?(?:that )?)\b"
    ),
    opens=(
        r"(?:please|can you|could you|would you|will you|write|translate|give|make|tell|explain|describe|suggest|create|"
        r"list|summari[sz]e|correct|rewrite|rephrase|imagine|pretend|suppose|assume|let's|how|what|where|when|why|who|"
        r"which|do|does|did|is|are|am|should|shall|may|might|can|could|answer|reply|show|find|help|recommend|check|"
        r"compare|continue|complete|generate|convert|calculate|solve|define|use|add|remove|keep|act as|consider|say|"
        r"say that|repeat)\b"
    ),
    material=(
        r"\b(?:translate|correct|proofread|rephrase|rewrite|paraphrase|summari[sz]e|edit|improve|analy[sz]e|classify|"
        r"continue|the following|text|letter|email|paragraph|story|sentence)\b[^.?!\n:]{0,60}:"
    ),
    topics=(
        Topic(
            "name", rf"\b(?:my name(?:'s| is)(?: now)?|(?:you can )?call me|I(?:'m| am) called) {VALUE}", proper=True
        ),
        Topic(
            "age",
            r"\bI(?:'m| am)(?: now| already)? (?P<value>\d{1,3})(?= years old|-year-old|\s*(?:[.,!;]|and\b|now\b|$))",
        ),
        Topic("age", r"\bI(?:'ve)?(?: just)? turned (?P<value>\d{1,3})\b"),
        Topic("birthday", r"\bmy birthday(?:'s| is)(?: on)? (?P<value>[^,;:!?\n()]{1,40})"),
        Topic("birthplace", rf"\bI was born (?:and raised )?in {VALUE}", proper=True),
        Topic(
            "residence",
            rf"\bI(?:'ve| have)? (?:no longer|don't) live (?:in|at) (?:the )?{VALUE}",
            proper=True,
            ended=True,
        ),
        Topic(
            "residence",
            r"\bI(?:'ve| have)? (?:just |recently |finally |now )?(?:live|moved|relocated)\b(?: back| out)? (?:in|to) "
            rf"(?:the )?{VALUE}",
            proper=True,
        ),
        Topic(
            "residence",
            rf"\b(?:I(?:'m| am) (?:now )?(?:living|based) in|my (?:new )?home is(?: now)? in) {VALUE}",
            proper=True,
        ),
        Topic(
            "residence",
            rf"\b(?:I(?:'m| am)|we(?:'re| are)) (?:now )?renting (?:an? )?(?:\w+ ){{1,2}}in {VALUE}",
            proper=True,
        ),
        Topic("address", rf"\bmy (?:new )?(?:home )?address is(?: now)? {VALUE}"),
        Topic("phone", r"\bmy (?:new |mobile |cell |phone ){0,2}number is(?: now)? (?P<value>\+?[\d][\d /()-]{3,20})"),
        Topic("email", r"\bmy (?:new )?e-?mail(?: address)? is(?: now)? (?P<value>\S{3,60})"),
        Topic("employer", rf"\bI (?:no longer|don't) work (?:at|for) {VALUE}", ended=True),
        Topic(
            "employer",
            rf"\bI(?:'ve| have)? (?:quit|left|retired from) (?:my job (?:at|with)|(?:working at)) {VALUE}",
            ended=True,
        ),
        Topic("employer", r"\bI(?:'ve| have)? (?:quit|lost|left) my job\b", ended=True),
        Topic(
            "employer",
            r"\bI(?:'m| am)? (?:now |currently |also )?(?:work|working) (?:at|for) (?!night|home|the moment|weekends|"
            rf"least|(?:my|a|the) (?:desk|weekend)|myself|fun|a living|free\b|it\b){VALUE}",
        ),
        Topic(
            "employer",
            rf"\bI(?:'ve| have)? (?:just )?(?:started|got|began|accepted|took)(?: working)?(?: an? (?:new )?"
            rf"(?:job|position|role))? (?:at|with) {VALUE}",
        ),
        Topic("employer", rf"\bmy (?:new )?employer is(?: now)? {VALUE}"),
        Topic("employer", rf"\bI(?:'ve| have| was)? (?:just |recently )?(?:got |been )?hired (?:by|at) {VALUE}"),
        Topic("job", rf"\bI(?:'m| am)? (?:now |currently )?(?:work|working) as (?:an?|the) {VALUE}"),
        Topic("job", r"\bI(?:'m| am)(?: now| currently)? an? (?:\w+ )?(?P<value>[\w-]+)", among=words(_JOBS)),
        Topic("job", r"\bI teach \w+(?= (?:at|in)\b)"),
        Topic("job", r"\bI(?:'m| am) (?:now )?(?P<value>retired|unemployed)\b"),
        Topic("allergy", r"\b(?:I(?:'m| am) (?:\w+ly )?allergic|my allerg(?:y|ies)|I have an? (?:\w+ )?allergy)\b"),
        Topic("diet", r"\bI(?:'m| am)(?: an?| now| now an?)? (?P<value>vegetarian|vegan|pescatarian)\b"),
        Topic("diet", r"\bI(?:'m| am) (?:no longer|not) (?:an? )?(?P<value>vegetarian|vegan|pescatarian)", ended=True),
        Topic("diet", r"\bI (?:don't|no longer|never) eat (?:meat|pork|fish|animal)\b|\bI eat (?:meat|fish) again\b"),
        Topic(
            "car",
            r"\b(?:I|we)(?:'ve| have)? (?:just )?(?:sold|scrapped|got rid of|gave away|wrecked) (?:my|our) (?:old )?car\b",
            ended=True,
        ),
        Topic("car", r"\b(?:I|we) no longer (?:have|own) a car\b", ended=True),
        Topic(
            "car",
            rf"\b(?:I|we)(?: now)? (?:drive) an? (?:old |new |second-hand |used |electric |little |small |red |blue )*{VALUE}",
            proper=True,
        ),
        Topic("car", rf"\bmy (?:new )?car(?:'s| is)(?: now)? an? (?:old |new )*{VALUE}", proper=True),
        Topic(
            "{role}",
            rf"\bmy (?:(?!old\b|former\b|ex\b)\w+ ){{0,2}}{_PERSON}(?:'s name)?(?:'s| is)(?: now| called| named| currently){{0,2}} {_TITLE}{VALUE}",
            proper=True,
        ),
        Topic(
            "{role}",
            rf"\b(?:changed|switched|moved|gone|went) (?:\w+ )?to {_TITLE}(?P<value>[^,;:!?\n()]{{1,40}}?) as my (?:new )?{_PERSON}\b",
            proper=True,
        ),
        Topic("{role}", rf"\b{_TITLE}(?P<value>\w+(?: \w+)?) is(?: now)? my (?:new )?{_PERSON}\b", proper=True),
        Topic(
            "{role}",
            rf"\bI(?:'ve| have)? (?:now )?(?:got )?(?:have |found )?a new {_PERSON},? (?:called |named )?{_TITLE}{VALUE}",
            proper=True,
        ),
        Topic(
            "partner",
            r"\b(?:(?:I|we)(?:'ve| have)? (?:got divorced|separated|split up|broke up)|I broke up with my \w+)\b",
            ended=True,
        ),
        Topic("{role} name", rf"\bmy {_PET}(?:'s name is| is called| is named) {VALUE}", proper=True),
        Topic(
            "favourite {role}",
            rf"\bmy (?:new |all-time )?favou?rite (?P<role>\w+)(?: of all time)? is(?: now)? {VALUE}",
        ),
    ),
    roles={word.lower(): key for word, key in (_PERSONS | _PETS).items()},
    articles=words("the a an my our"),
    cut=words(
        "and or but so because since as with in at on for from to until till now anymore any again where who which that "
        "while when after before last this next near by if of today yesterday these recently currently instead too also "
        "here is was not about these"
    ),
    also=r"\b(?:also|as well|too|part-time|second job|on the side|both|another)\b",
)
