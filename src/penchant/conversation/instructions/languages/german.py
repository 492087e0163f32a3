"""German."""

from penchant.conversation.instructions.languages.table import Table

_ANSWER = r"(?:antwort(?:en)?|nachricht(?:en)?|erwiderung(?:en)?|rückmeldung(?:en)?)"
_VERB = (
    r"(?:antworte(?:n|t|st)?|schreib(?:e|en|st|t)?|sprich|sprechen|sprichst|rede(?:n|st)?|sag(?:e|en|st)?|"
    r"nenn(?:e|en|st)?|nutz(?:e|en|t)?|"
    r"benutz(?:e|en|t)?|verwend(?:e|en|est)?|vermeid(?:e|en|est)?|beend(?:e|en|est)?|schließ(?:e|en|t)?|"
    r"beginn(?:e|en|st)?|start(?:e|en|est)?|fang(?:e|en|t)?|"
    r"fass(?:e|en|t)?|halt(?:e|en)?|gib|geben|gibst|erklär(?:e|en|st)?|formulier(?:e|en|st)?|setz(?:e|en|"
    r"t)?|mach(?:e|en|st)?|lass(?:e|en|t)?|bleib(?:e|en|st)?|tu|"
    r"stell(?:e|en|st)?|frag(?:e|en|st)?|zitier(?:e|en|st)?|füg(?:e|en|st)?|sei(?:en)?|zeig(?:e|en|st)?|"
    r"beschränk(?:e|en|st)?|rechne(?:n|st)?|duz(?:e|en|t)?|siez(?:e|en|t)?|"
    r"kommentier(?:e|en|st)?|übersetz(?:e|en|t)?|geh|hör|red)"
)
_MAKE = (
    r"(?:schreib(?:e|en)?|verfass(?:e|en)?|entwirf|erstell(?:e|en)?|erzähl(?:e|en)?|erfind(?:e|en)?|"
    r"dicht(?:e|en)?|generier(?:e|en)?|formulier(?:e|en)?|bild(?:e|en)?)"
)

GERMAN = Table(
    durable=(
        r"\b(?:gewöhn\w* (?:dir|sie sich) (?:\w+ )?an|für alle (?:künftigen|weiteren|folgenden)|auf dauer|"
        r"ab sofort)\b",
        r"\b(?:ab (?:jetzt|sofort|heute|nun|hier)|von (?:nun|jetzt|heute|hier) an|in zukunft|künftig|"
        r"zukünftig|fortan|"
        r"in all(?:en)? (?:unseren|meinen) (?:gesprächen|chats|unterhaltungen)|weiterhin|dauerhaft|"
        r"für alle zeit(?:en)?)\b",
    ),
    always=(
        r"\b(?:zu keinem zeitpunkt|zu keiner zeit|unter keinen umständen|auf keinen fall|jederzeit|allgemein|"
        r"im allgemeinen)\b",
        r"\b(?:immer|stets|nie(?:mals)?(?: wieder| mehr)?|grundsätzlich|durchgehend|prinzipiell|generell|"
        r"standardmäßig|"
        r"merk(?:e|en)? (?:dir|sie sich)|denk(?:e|en)?(?: sie)? (?:bitte )?dran|denk(?:e|en)?(?: sie)? daran|"
        r"ausnahmslos)\b",
    ),
    each=(
        r"\b(?:egal,? (?:in welche[rm]|was|wie|welche\w*)|ganz gleich|unabhängig davon|was auch immer ich|"
        r"in welcher \w+ (?:auch )?immer|bei allem,? was)\b",
        rf"\b(?:jede[rn]?(?: einzelne[nr]?)?(?: deiner| ihrer)? {_ANSWER}|alle(?:n)?(?: deine[nr]?|"
        rf" ihre[nr]?)? {_ANSWER}|"
        rf"in (?:deinen|ihren)(?: nächsten| künftigen)? {_ANSWER}|(?:deine|ihre) {_ANSWER}|pro {_ANSWER}|"
        rf"jedes mal|jedesmal|egal,? was ich frage|alles,? was du (?:mir )?schreibst|"
        rf"(?:wenn|sobald) du (?:mir )?(?:antwortest|schreibst)|bei jeder {_ANSWER})\b",
    ),
    here=(
        r"\b(?:die ganze zeit(?: über)?|(?:in|während|für) (?:dieser|diese|der|die) (?:ganzen? |"
        r"gesamten? )?(?:stunde|lektion|übung|sitzung|runde)|während (?:wir|des (?:ganzen )?(?:gesprächs|"
        r"chats)))\b",
        r"\b(?:in dieser (?:unterhaltung|sitzung|konversation|diskussion)|in diesem (?:chat|gespräch|dialog)|"
        r"für dieses gespräch|für diese (?:unterhaltung|sitzung)|"
        r"(?:das|den) ganze(?:n)? (?:gespräch|chat)(?: über| lang)?|für diesen chat|vorerst|erst einmal|"
        r"erstmal|fürs erste|heute|hier|bis auf weiteres|sofern ich nichts anderes sage)\b",
    ),
    rules=(
        r"\b(?:(?:spiel)?regeln (?:für|in) (?:diese[ns]?|unser\w*|dich)|(?:zwei|drei|ein paar|einige|"
        r"\d) (?:dinge|regeln|bitten|wünsche) vorab|abgemacht|machen wir es so)\b",
    ),
    until=(
        r"\bbis (?!auf|zu (?!m)|hin|her|jetzt|dahin|bald|später)(?:zum |zur )?(?:ich|wir|du|morgen|montag|"
        r"dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag|ende|heute|"
        r"nächste\w*|übermorgen|\d|januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|"
        r"dezember)[^,.;:!?\n]*?(?=\s*(?:[,.;:!?\n]|\b(?:antwortest|antworte|bitte|schreib|sollst|sprich|nenn|"
        r"rede|redest|nur|auf)\b|$))",
        r"\b(?:solange|so lange) (?:ich|wir|du)\b[^,.;:!?\n]*",
    ),
    counted=(rf"\b(?:für|in|bei) (?:die|den|deine|deinen|meine)?\s*nächsten (?P<n>\d+|\w+) (?:{_ANSWER}|fragen)\b",),
    spanned=(r"\b(?:für )?(?:die|den) nächsten (?P<n>\d+|\w+) (?P<unit>minuten|stunden|tagen?|wochen|monaten?)\b",),
    when=(
        r"\b(?:wenn|sobald|immer wenn|wann immer|jedes mal,? wenn|falls) ich (?:dir|dich|etwas|nach|ein\w*|"
        r"code|um)\b",
    ),
    verb=(
        rf"(?:^|[,;:\n]\s*|\b(?:und|bitte|also|aber|dann|ach|so|hier|heute|jetzt|künftig|nie|immer|mehr|sage|"
        rf"schicke|an|sofort|vorerst|zukunft|mal|stets)\s+|(?:^|\n)\s*[-*•\d.)]+\s*){_VERB}\b",
        r"\b(?:du|sie) (?:musst|müssen|sollst|sollen|sollte\w*|darfst|dürfen|kannst|können|bist|wirst|werden|"
        r"antwortest|schreibst)\b|\b(?:musst|sollst|sollen|darfst|kannst|bist|wirst|antwortest|schreibst|"
        r"redest|sprichst) (?:du|sie)\b",
        r"\b(?:könntest|kannst|würdest|könnten|würden) (?:du|sie)\b",
        r"\b(?:ich möchte|ich will|ich hätte gerne?|mir wäre lieb|es wäre (?:mir )?\w+|ich wünsche mir|"
        r"ich erwarte),? (?:wenn|dass) (?:du|sie)\b",
        rf"\b(?:{_ANSWER}|beispiele|code|preise|zahlen) (?:\w+ ){{0,3}}(?:soll(?:en|te)?|muss|müssen)\b|"
        rf"\bsoll(?:en)? (?:\w+ ){{0,5}}(?:sein|enden|anfangen|beginnen|enthalten)\b",
        r"\bbitte (?:\w+ ){0,6}(?:antworten|schreiben|sprechen|verwenden|benutzen|reden|angeben|anreden|"
        r"ansprechen|vermeiden|nennen|erklären)\b",
    ),
    act=(
        r"\b(?:du|sie) (?:\w+ ){0,2}(?:\w+st|\w+en) \b(?=.*)|\b(?:antwortest|schreibst|sprichst|verwendest|"
        r"benutzt|nutzt|hältst|bleibst|gibst|machst|prüfst|auftrittst|spielst) du\b",
        r"\b(?:darf|dürfen|soll|sollen|muss|müssen|sollte|sollten) (?:\w+ ){0,3}(?:nie|niemals|immer|stets|"
        r"nicht|nur|höchstens)\b",
        r"\b(?:lass(?:t|en)? (?:uns|sie uns|mich)|wir (?:rechnen|reden|sprechen|schreiben|nutzen|verwenden|"
        r"bleiben)|können wir uns (?:darauf|auf))\b",
        r"\b(?:ich (?:möchte|will|hätte gern|wünsche mir|erwarte|bestehe darauf)|es wäre \w+),? dass du\b",
        r"^\W*(?:bitte |einfach )?(?:tu|spiel|achte|versuch|verzichte|spar|kürz|bevorzuge|wähle|folge|prüf|"
        r"liefere|gewöhn|nimm|behandle|stell|streich|reagiere|arbeite|berücksichtige)\w*\b",
    ),
    wish=(
        r"\b(?:ich (?:möchte|will|mag|hätte gern|hasse|bevorzuge|wünsche|brauche)|mir (?:ist|wäre|"
        r"sind) \w+ lieber|ich kann \w+ nicht leiden)\b",
    ),
    please=(r"\b(?:bitte|gilt)\b",),
    alone=(
        r"\beinigen, dass du\b",
        r"\bich bin (?:der|die) [^.!?,]+, aber\b|\b(?:ich heiße|mein name ist) [^.!?]+\b(?:aber|also|nenn|sag)\b",
        r"\b(?:übernimm|spiel\w*) die rolle\b|\bverhalte dich wie\b|\bagiere als\b|\bals mein\w* \w+ auftr\w+",
        r"\bnenn(?:e|en)?(?: sie)? mich\b|\bsprich mich\b|\bsprechen sie mich\b|\brede mich\b|"
        r"\bmit \S+ (?:anreden|ansprechen)\b",
        r"\bduz(?:e|en)?(?: sie)? mich\b|\bsiez(?:e|en)?(?: sie)? mich\b|\b(?:kannst|können|darfst|"
        r"dürfen) (?:du |sie )?mich (?:\w+ )?(?:duzen|siezen|nennen)\b|\bmich (?:ruhig |gern )?(?:duzen|"
        r"siezen)\b",
        r"\bes wäre mir lieb(?:er)?, wenn (?:du|sie)\b|\bmir wäre (?:es )?lieber, (?:wenn )?(?:du|sie)\b",
    ),
    habit=(
        r"\bhör(?:en sie)? (?:bitte )?(?:endlich |damit )?auf,? (?!damit\b).*\bzu\b|\bschluss mit (?!lustig)\w+",
        r"^(?:und |ach,? |bitte,? )*kein[ens]* \w+ mehr\b|\bnicht mehr (?:so )?\w+|\bnicht jedes mal\b",
    ),
    opinion=(
        r"\bmir fällt auf\b|\bich merke,? dass du\b|\bdu (?:\w+ )?immer\b",
        r"\b(?:ich (?:hasse|mag|liebe|kann)\b)",
    ),
    request=(
        r"\b(?:ok|okay|ja|einverstanden|gut|abgemacht)\s*\?|\bkönnen wir uns\b|\blass uns\b",
        r"\b(?:kannst|könntest|würdest|könnten|können|würden) (?:du|sie)\b|\bbitte\b",
    ),
    once=(
        r"\b(?:diese frage|diesmal|dieses mal|diesen (?:satz|text|absatz|brief)|diese (?:mail|nachricht|"
        r"antwort)|nur kurz|nur dieses eine mal|ausnahmsweise|noch mal|nochmal|nur die zahl|bitte kurz:)\b",
    ),
    artefact=(
        rf"\b{_MAKE} (?:mir |uns |bitte )*(?:eine?n? |drei |zwei |einige |\d+ |de[mnr] |die )\w+",
        r"^(?:jetzt |nun |bitte |kannst du )*(?:formulier\w* (?:den|das|die)|übersetz\w*|korrigier\w*|"
        r"fass\w* (?:den|das|die) |nenn(?:e)? mir|sag(?:e)? (?:meinem|meiner|meinen|ihm|ihr)|richte|bring\w*|"
        r"erzähl\w*|bild\w*|implementier\w*)\b",
        r"\bin (?:meinem|einem|dem|der|meiner|einer) (?:roman|geschichte|buch|spiel|film|stück|drehbuch)\b",
        r"\b(?:schreib|sag) (?:dem|der|den|meinem|meiner|meinen) \w+|\bwie (?:formuliere|schreibe|sage) ich\b|"
        r"\bin einem satz\b",
    ),
    reported=(
        r"\bmein\w* \w+ (?:duzt|siezt)\b",
        r"\b(?:pflegte zu|laut \w+|gemäß \w+|dem \w+ zufolge|man soll)\b|\bwas ich \w+ finde\b",
        r"\b(?:er|sie|wer|(?:mein|meine|unser|unsere|der|die|das|ein|eine|im) (?:\w+ ){0,1}\w+) (?:immer |"
        r"hat |haben |stets )*(?:sagt|sagte|meint|meinte|will|wollte|verlangt|verlangte|fordert|befiehlt|"
        r"befahl|"
        r"schrieb|schreibt|bat|bittet|hat (?:uns |mir )?(?:gesagt|verlangt|gebeten)|steht|nennen|nennt)\b|"
        r"\bsagt immer\b|\bbei uns\b.*\bgilt\b|\bsolle\b",
    ),
    subject=(
        r"^(?:mir fällt auf|ich (?:merke|sehe))\b|\b(?:wir|ich) \w+ (?:\w+ ){0,2}(?:immer|nie)\b",
        r"^(?:und |aber |also |ach,? |von nun an |ab (?:jetzt|morgen|heute) |bis \w+ )*(?:ich (?!(?:will|"
        r"möchte|mag|hätte|hasse|bevorzuge|brauche|wünsche|kann|heiße|erwarte)\b)|wir |er |es (?!wäre)|"
        r"mein(?:e)? (?!antwort)\w+ )\w+",
        r"\b(?:von nun an|ab (?:jetzt|morgen|heute)|bis \w+|immer|nie) (?:bin|habe|wohne|werde|mache|gehe|"
        r"muss|trinke|esse|arbeite) ich\b|\b(?:bin|mache|wohne|habe|muss) ich\b",
    ),
    unless=(
        r"\bwenn ich (?:wollte|dich bäte|dich bitten würde)\b|\bsoll man\b|^(?:warum|was|wie|wann|wieso|"
        r"weshalb)\b[^:]*\?|\beigentlich\b",
    ),
    finite=(
        r"\b(?:war|waren|ist|sind|hat|hatte|hatten|wurde|wurden|ging|kam|gab|sagte|steht|stand|hilft|half|"
        r"geht|scheint|passiert|klappt|wohne|wohnt)\b",
    ),
    all_over=(
        r"\b(?:vergiss|vergessen sie|ignorier\w*|verwirf|lösch\w*|streich\w*|"
        r"missachte\w*)\b[^.!?\n]{0,20}\b(?:alle[ns]?|sämtliche|alles|meine|deine|die bisherigen|"
        r"die vorigen)\b[^.!?\n]{0,30}"
        r"(?:anweisung(?:en)?|regeln?|vorgaben?|wünsche|gesagt|instruktionen|bitten)\b",
    ),
    over=(
        r"^(?:ok(?:ay)?|bitte|jetzt|gut|so|und|ach|danke|hey|,|\.|"
        r"\s)*(?:hör(?:en sie)? (?:bitte )?(?:auf damit|damit auf|auf)|lass (?:das|es)(?: wieder| sein|"
        r" bleiben)*|lassen sie das|vergiss (?:das|es)(?: wieder)?|"
        r"(?:ab jetzt |von nun an |jetzt |ab sofort |bitte )*wieder (?:ganz )?normal|zurück zum normalen\w*|"
        r"schluss damit|genug davon|das reicht jetzt damit|schreib(?:e)? wieder normal|antworte wieder normal|"
        r"red(?:e)? wieder normal|du kannst (?:jetzt )?(?:damit )?aufhören)"
        r"(?:\s*(?:bitte|jetzt|danke|wieder|schreiben|antworten|reden|,))*\s*[.!]*$",
    ),
    release=(
        r"\b(?:kannst du (?:jetzt |wieder |nun )*(?:lassen|weglassen|vergessen|sein lassen)|(?:du|"
        r"sie) (?:musst|müssen|brauchst|brauchen) (?:jetzt |mir |mich )*(?:nicht|kein\w*)\b|(?:musst|"
        r"brauchst) du (?:nicht|kein)|nicht (?:mehr|länger) (?:nötig|notwendig)|"
        r"vergiss (?:das mit|die|den|das)|das mit\b[^.!?\n]*\b(?:lassen|vergessen|weglassen|aufhören)|"
        r"hör(?:en sie)? (?:bitte )?auf|nicht mehr|kein\w* \w+ mehr|du darfst (?:jetzt )?wieder|"
        r"du kannst (?:jetzt )?aufhören|schluss mit)\b",
    ),
    negated=(r"\b(?:kein\w*|nicht|nie(?:mals)?|ohne|vermeid\w*|lass\w*|hör\w*|weg|verzicht\w*)\b",),
    joint=(
        r",?\s+(?:darum|deshalb|daher|deswegen|weshalb|drum)\s+",
        r",?\s+(?:und|also|aber|ach,? und|doch)\s+",
        r"\s*[;–—]\s*",
        r"\s-\s",
    ),
    said=(
        r"\bbis ich (?:(?P<x>[^,.;!?\n]+?) (?:sage|schreibe|rufe|tippe|sag|schreib)\b|"
        r"(?:dir )?sage,? (?P<y>[^.;!?\n]+))",
    ),
    slots={
        "address": (
            r"\bich bin (?:der|die) \w+, aber\b|\bmein name ist\b",
            r"\bich heiße\b|\bnenn\w*(?: sie)? mich\b|\bsprich mich\b|\bsprechen sie mich\b|\banreden\b|"
            r"\bansprechen\b|\banrede\b|\brede mich\b|\bmich (?:\w+ )*nennen\b",
        ),
        "formality": (r"\bduz\w*|\bsiez\w*|\bper (?:du|sie)\b",),
        "ending": (
            r"\bbeend\w*\b|\bam (?:ende|schluss)\b|\bend(?:e|en|est)\b[^.!?\n]{0,20}\bmit\b|"
            r"\bschließ\w*\b[^.!?\n]{0,30}\b(?:ab|mit)\b|\b(?:gegen|rück|nach)fragen\b|\b(?:hör|"
            r"hören)\b[^.!?\n]{0,20}\bmit _+ auf",
        ),
        "opening": (
            r"\b(?:beginn\w*|anfang\w*|anfängt|fang\w*|start\w*)\b[^.!?\n]{0,60}\b(?:mit|an)\b|"
            r"\bmit\b[^.!?\n]{0,40}\b(?:anfangen|beginnen|starten)\b|\b(?:am|zu) (?:anfang|beginn)\b",
        ),
        "words": (
            r"\b(?:das wort|die wörter|den ausdruck|die worte|der begriff|den begriff|die phrase)\b|\bsag\w* nie\b",
        ),
        "format": (
            r"\b(?:stichpunkt\w*|aufzählung\w*|list(?:e|en)|tabell\w*|json|xml|yaml|csv|markdown|reine[rmn]? text|"
            r"fließtext|überschriften|fett|kursiv|absätze\w*|nummeriert\w*|fettdruck)\b",
        ),
        "code": (r"\b(?:code|codebeispiele?|java|python|javascript|rust|beispiele in)\b",),
        "language": (
            r"\b(?:auf|ins|nur|in|zu) (?:\w+ )?(?:englisch|deutsch|französisch|spanisch|italienisch|portugiesisch|"
            r"niederländisch|polnisch|russisch|türkisch|latein|norwegisch|schwedisch|dänisch|"
            r"schweizerdeutsch)\w*\b|\brechtschreibung\b|\bsprache wechseln\b",
        ),
        "units": (
            r"\b(?:metrisch\w*|einheiten|celsius|fahrenheit|kilometer\w*|meilen|24-?stunden-?(?:format|takt|uhr|"
            r"anzeige)|euro|franken|"
            r"dollar|währung|uhrzeiten|zeitzone|kilogramm)\b",
        ),
        "case": (
            r"\b(?:klein|groß|kleinbuchstaben|großbuchstaben|kleinschreibung|großschreibung|kleingeschrieben|"
            r"versalien)\b",
        ),
        "emoji": (r"\b(?:emojis?|smileys?|emoticons?)\b",),
        "punctuation": (
            r"\b(?:kommas?|kommata|ausrufezeichen|fragezeichen|semikolon|gedankenstriche?|punkte?|satzzeichen|"
            r"klammern)\b",
        ),
        "length": (
            r"\b(?:kurze?[nrs]?|kürzer\w*|knapp\w*|ausführlich\w*|lang|länger|ein wort|ja oder nein|kurzfassen)\b|"
            r"\b(?:\d+|ein\w*|zwei|drei|vier|fünf|sechs|zehn|zwanzig|dreißig|vierzig|fünfzig|hundert) (?:wörter|worte|"
            r"wort|sätze|sätzen|satz|zeilen|zeile|zeichen|absätze)\b",
        ),
        "sources": (
            r"\blinks? immer\b",
            r"\b(?:quellen?|quellenangaben?|belege?|links?)\b",
        ),
        "level": (r"\b(?:kind|anfänger|experte|laie|fünfjährige\w*|profi)\b",),
        "persona": (
            r"\b(?:als mein\w* \w+|übernimm|verhalte dich|agiere als|so, als)\b|\bspiel\w* (?:mein|den|die|"
            r"eine?n?)\b",
            r"\b(?:wie ein\w*|als (?:wärst|wärest|ob)|als ein\w*|in der rolle|deiner rolle)\b|\b(?:bist du|"
            r"du bist)\b|\bpirat\w*",
        ),
        "tone": (
            r"\b(?:ehrlich\w*|schön(?:reden)?|reim\w*|fluch\w*|direkt|herzlich|sanft|streng)\b",
            r"\b(?:ton|förmlich\w*|formell\w*|locker\w*|höflich\w*|freundlich\w*|sarkast\w*|humor\w*|witzig\w*|"
            r"ernst|entschuldig\w*|einfache[rn]? (?:sprache|worte\w*)|wissenschaftlich\w*|sachlich\w*|jargon|"
            r"umgangssprach\w*|fachsprach\w*)\b",
        ),
    },
    common=frozenset(
        [
            "der",
            "die",
            "das",
            "und",
            "ist",
            "nicht",
            "ich",
            "ein",
            "eine",
            "mit",
            "wir",
            "auf",
            "dem",
            "den",
            "zu",
            "auch",
            "sich",
            "von",
            "du",
            "dir",
            "mir",
            "bitte",
            "mich",
            "in",
            "für",
            "keine",
            "im",
        ]
    ),
    stops=frozenset({"stopp", "stop", "halt", "schluss", "genug", "aufhören", "basta"}),
    polite=frozenset(["bitte", "jetzt", "ok", "okay", "danke", "so", "und", "nun", "gut", "ich", "sage"]),
    numbers={
        "ein": 1,
        "eine": 1,
        "einen": 1,
        "zwei": 2,
        "drei": 3,
        "vier": 4,
        "fünf": 5,
        "sechs": 6,
        "sieben": 7,
        "acht": 8,
        "neun": 9,
        "zehn": 10,
        "paar": 3,
    },
    weekdays=("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag|sonnabend", "sonntag"),
    months=(
        "januar",
        "februar",
        "märz",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "dezember",
    ),
    tomorrow=r"\bmorgen\b",
    units={
        "minuten": "minutes",
        "stunden": "hours",
        "tag": "days",
        "tage": "days",
        "tagen": "days",
        "wochen": "weeks",
        "monate": "months",
        "monaten": "months",
    },
)
