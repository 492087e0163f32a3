"""German."""

from penchant.conversation.facts.language import VALUE, Language, Topic, one_of, roles, words

_PERSONS = roles(
    "dentist: Zahnarzt Zahnärztin; doctor: Hausarzt Hausärztin Arzt Ärztin; boss: Chef Chefin; "
    "therapist: Therapeut Therapeutin; lawyer: Anwalt Anwältin; hairdresser: Friseur Friseurin; "
    "landlord: Vermieter Vermieterin; vet: Tierarzt Tierärztin; accountant: Steuerberater Steuerberaterin; "
    "partner: Frau Mann Freundin Freund Ehefrau Ehemann Partner Partnerin Verlobte Verlobter; coach: Trainer Trainerin; "
    "bank: Bank; insurer: Versicherung"
)
_PETS = roles("dog: Hund Hündin; cat: Katze Kater; horse: Pferd; parrot: Papagei; rabbit: Kaninchen; hamster: Hamster")
_PERSON, _PET = one_of(_PERSONS), one_of(_PETS)
_TITLED = r"(?:dr|doktor|herr|frau|prof)\.? +"
_JOBS = (
    "lehrer lehrerin krankenschwester krankenpfleger pfleger pflegerin arzt ärztin ingenieur ingenieurin entwickler "
    "entwicklerin programmierer programmiererin bäcker bäckerin tischler tischlerin schreiner elektriker anwalt anwältin "
    "student studentin schüler schülerin buchhalter buchhalterin architekt architektin journalist journalistin autor "
    "autorin koch köchin fahrer feuerwehrmann apotheker apothekerin physiker physikerin chemiker forscher forscherin "
    "bibliothekar bibliothekarin landwirt landwirtin gärtner gärtnerin friseur friseurin mechaniker mechanikerin pilot "
    "pilotin fotograf fotografin musiker musikerin schauspieler schauspielerin künstler künstlerin maler malerin "
    "übersetzer übersetzerin kellner kellnerin sanitäter hebamme tierarzt tierärztin professor professorin verkäufer "
    "verkäuferin psychologe psychologin erzieher erzieherin rentner rentnerin lokführer polizist polizistin beamter "
    "beamtin postbote hausmeister"
)
_VERB = (
    "wohne|lebe|arbeite|studiere|unterrichte|fahre|besitze|spiele|laufe|koche|backe|male|stricke|singe|tanze|schwimme|"
    "klettere|wandere|radle|sammle|trage|rauche|trinke|esse|spreche|schreibe|pendle|miete|teile|leide|nehme|liebe|mag|"
    "hasse|bevorzuge|vertrage|reise|trainiere|lerne|fliege|ziehe|heirate|gehe|jogge|lese|höre|züchte|reite|segle|angle|"
    "stehe|schlafe|treffe|plane|spare|besuche|verreise|hatte|heiße|komme|bin|war|gehöre|engagiere|fürchte|genieße|vermisse"
)
_VERBS_WE = (
    "wohnen|leben|arbeiten|haben|hatten|fahren|fliegen|ziehen|heiraten|lieben|mögen|hassen|spielen|planen|sparen|"
    "reisen|besuchen|gehen|essen|trinken|kochen|sind"
)
_DONE = (
    "gekauft|verkauft|adoptiert|umgezogen|gezogen|geboren|aufgewachsen|geheiratet|gekündigt|gewechselt|angefangen|"
    "begonnen|aufgehört|gebrochen|verloren|gewonnen|gebucht|gelernt|besucht|gefeiert|geerbt|gegründet|gebaut|gemietet|"
    "gewohnt|gelebt|gearbeitet|studiert|bestanden|abgeschlossen|verlobt|getrennt|geschieden|angemeldet|bekommen|"
    "gereist|gefahren|geflogen|gelaufen|gewesen|kennengelernt|geworden|gestorben|operiert|beschlossen|gespendet|"
    "gepflanzt|gewandert|getroffen|verbracht|eröffnet|veröffentlicht|geschenkt bekommen"
)
_IS = r"(?:ich (?:bin|war)|(?:bin|war) ich|wir sind|sind wir)\b"
_ADV = r"(?: (?:seit \w+|jetzt|nun|auch|immer|noch|sehr|früher|gerade|leider|nicht|kein\w*|selbst|schon|eigentlich|\w+lich))*"

GERMAN = Language(
    code="de",
    stemmer="german",
    hints=words("ich wir mein meine meinen meinem meiner unser unsere mir mich uns"),
    says=(
        r"\b(?:ich kann|kann ich) (?:leider )?(?:nicht|kein\w*) (?!\w*(?:finden|öffnen|verstehen|sehen|lesen))\w+\.?$|\b(?:ich bekomme|bekomme ich|ich vertrage|vertrage ich) (?!immer|den|die|eine Fehler)\w+",
        r"\b(?:langweil|interessier|begeister|stör|ärger|nerv|beruhig|faszinier)\w* mich\b|\bwir erwarten\b",
        rf"\b(?:ich|wir) (?!bin\b|war\b|hatte\b|sind\b|haben\b|hatten\b)(?:{_VERB}|{_VERBS_WE})\b",
        rf"\b(?!bin\b|war\b|hatte\b|sind\b|haben\b)(?:{_VERB}) ich\b",
        rf"\b(?!haben\b|hatten\b|sind\b)(?:{_VERBS_WE}) wir\b",
        rf"\b(?:ich|wir) (?:habe|haben|bin|sind|wurde)\b.*\b(?:{_DONE})\b|\b(?:habe|haben|bin|sind|wurde) (?:ich|wir)\b.*\b(?:{_DONE})\b",
        r"\b(?:ich habe|habe ich|wir haben|haben wir|ich hatte|hatte ich|wir hatten)\b(?: \w+){0,2}? (?:ein|eine|einen|zwei|drei|vier|fünf|"
        r"\d+|kein|keine|keinen|mehrere|viele|Angst|Diabetes|Asthma|Kinder|Geburtstag|Urlaub|Zwillinge|Allergie\w*|"
        r"(?:am|um) \w+|im \w+ (?:Geburtstag|Urlaub)|Katzen|Hunde|Höhenangst|Flugangst)\b",
        _IS
        + _ADV
        + r" (?:\d+|ein|eine|der|die|gegen|allergisch|Vegetarier\w*|vegan\w*|vegetarisch|Veganer\w*|verheiratet|"
        r"geschieden|ledig|single|verlobt|schwanger|arbeitslos|selbstständig|selbständig|Rentner\w*|Linkshänder\w*|"
        r"farbenblind|taub|blind|Muslim\w*|Christ\w*|Jude|Jüdin|katholisch|evangelisch|Atheist\w*|aus|Diabetiker\w*|"
        r"Fan|Mitglied|Mutter|Vater|laktose\w*|in Rente|im Ruhestand|Deutsche\w*|Österreicher\w*|Schweizer\w*)\b",
        r"\bmir (?:schmeck|gefäll|gefall)\w+ (?:kein|am besten|vor allem)",
    ),
    mine=(
        r"\b(?:mein|meine|unser|unsere) (?:(?:neue|neuer|neues|alte|alter|ältere|älterer|jüngere|jüngerer|kleine|"
        r"kleiner|große|großer|beste|bester|erste|erster) )*([^\W\d_]+) (?:ist|sind|war|waren|hat|haben|hatte|heißt|"
        r"heißen|wohnt|wohnen|lebt|leben|arbeitet|liebt|mag|hasst|spielt|studiert|kommt|fliegt|geht|wird|starb|leidet|"
        r"spricht|zieht|beginnt|fährt)\b",
    ),
    never=(
        r"\bich (?:glaube|denke|sehe|verstehe|meine|hoffe|weiß|frage|vermute|nehme an|schätze|wette)\b",
        r"\bich (?:möchte|hätte|würde|brauche|benötige|suche|wünsche|will)\b|\b(?:möchte|hätte|würde|brauche) ich\b",
        r"\bich (?:bin|war) (?:mir|nicht sicher|unsicher|neugierig|fertig|bereit|gespannt|froh|verwirrt|dafür|einverstanden)\b",
        r"\bich habe (?:noch |da |nur )?(?:eine|die|zwei|ein|noch eine) (?:\w+ )?(?:Frage|Bitte|Problem|Idee|Fehler|Datei|"
        r"Liste|Text|Tabelle|Aufgabe|Satz|Code|Aufsatz)\w*\b",
        r"\bich (?:finde|mag|liebe) (?:das|es|dies|deine?n?|Ihre?n?|die Idee|den Vorschlag)\b",
        r"\b(?:dein|deine|deinen|deiner|Ihre|Ihren|die letzte|der zweite|die zweite|die erste) (?:\w+ )?(?:Antwort|Vorschlag|"
        r"Lösung|Erklärung|Version|Idee|Code)\b",
        r"\bmir geht|\bgeht es mir\b",
        r"\bmein\w* (?:\w+ )?(?:Programm|Code|Skript|Frage|Problem|Text|Aufsatz|Fehler|Anfrage|Nachricht|Funktion|Eingabe|"
        r"Punkt|Meinung nach)\b",
        r"\bich (?:habe|hab) (?:\w+ )*(?:ausprobiert|versucht|hochgeladen|geschickt|eingefügt|installiert|angehängt|kopiert|getestet)\b",
        r"\bich (?:schicke|sende|füge|gebe|zeige|komme später|bin gleich|gehe davon aus|komme nicht|stehe auf dem)\b",
        r"\b(?:Fehlermeldung|kompilier\w+)\b",
    ),
    before=(
        r"\b(?:wenn ich|wenn wir|falls|angenommen|ob|als ob|stell dir vor|nehmen wir an|wäre|hätte|sagt\w*|sagen|meint\w*|"
        r"schrieb|schreibt|fragt\w*|behauptet\w*|glaubt|findet)\b"
    ),
    opens=(
        r"(?:setz\w*|formulier\w*|bitte|kannst du|könntest du|können sie|könnten sie|schreib\w*|übersetz\w*|gib|mach\w*|erklär\w*|beschreib\w*|"
        r"nenn\w*|erstell\w*|fass\w*|korrigier\w*|stell dir|stellen sie|wie|was|wo|wohin|wann|warum|wer|welche\w*|hilf|"
        r"zeig\w*|sag|sag\w* mir|muss|soll|sollte|darf|ist|sind|hast|haben sie|bist|empfiehl|vergleiche?|such\w*|tu so|"
        r"antworte|rechne|verbesser\w*|vervollständig\w*)\b"
    ),
    material=(
        r"\b(?:übersetz\w*|korrigier\w*|verbesser\w*|fass\w*|zusammenfass\w*|umformulier\w*|formulier\w*|folgend\w+|text|"
        r"brief|absatz|analysier\w*)\b[^.?!\n:]{0,60}:"
    ),
    topics=(
        Topic(
            "name",
            rf"\b(?:ich heiße|mein (?:neuer )?(?:name|nachname) ist|nenn mich|nennt mich)(?: jetzt| nun)? {VALUE}",
            proper=True,
        ),
        Topic(
            "age",
            r"\b(?:ich bin|bin ich)(?: jetzt| nun| schon| inzwischen)* (?P<value>\d{1,3})(?: Jahre| geworden|\s*[.,!]|$)",
        ),
        Topic("birthplace", r"\bich (?:bin|wurde) in (?P<value>[^,;:!?\n()]{1,40}?) geboren\b", proper=True),
        Topic(
            "residence",
            rf"\b(?:ich (?:wohne|lebe)|(?:wohne|lebe) ich) (?:nicht mehr|nicht länger) in {VALUE}",
            proper=True,
            ended=True,
        ),
        Topic(
            "residence",
            r"\b(?:ich (?:wohne|lebe)|(?:wohne|lebe) ich)(?: (?:jetzt|nun|seit \w+(?: \w+)?|inzwischen|wieder|"
            rf"noch|immer|mit \w+ \w+))* in {VALUE}",
            proper=True,
        ),
        Topic(
            "residence",
            r"\b(?:ich bin|bin ich|wir sind|sind wir)\b[^,;:]{0,30}? nach (?P<value>[^,;:!?\n()]{1,40}?) "
            r"(?:um|ge)?(?:gezogen)\b",
            proper=True,
        ),
        Topic("residence", rf"\b(?:ich ziehe|ziehe ich)\b[^,;:]{{0,30}}? nach {VALUE}", proper=True),
        Topic("residence", rf"\bmein (?:neues )?Zuhause ist(?: jetzt| nun)?(?: in)? {VALUE}", proper=True),
        Topic("phone", r"\bmeine (?:neue )?(?:\w*nummer) (?:ist|lautet)(?: jetzt)? (?P<value>\+?[\d][\d /()-]{3,20})"),
        Topic("email", r"\bmeine (?:neue )?(?:e-?mail\S*|mailadresse)(?: ist| lautet)(?: jetzt)? (?P<value>\S{3,60})"),
        Topic("address", rf"\bmeine (?:neue )?(?:adresse|anschrift) (?:ist|lautet)(?: jetzt)? {VALUE}"),
        Topic(
            "employer", rf"\b(?:ich arbeite|arbeite ich) (?:nicht mehr|nicht länger) (?:bei|für) {VALUE}", ended=True
        ),
        Topic(
            "employer",
            r"\bich habe (?:\w+ ){0,2}?(?:meine Stelle|meinen Job) (?:verloren|gekündigt|aufgegeben)",
            ended=True,
        ),
        Topic(
            "employer",
            r"\b(?:ich arbeite|arbeite ich)(?: (?:jetzt|nun|seit \w+(?: \w+)?|inzwischen))* "
            rf"(?:bei|für) {VALUE}",
        ),
        Topic(
            "employer",
            r"\b(?:ich bin|bin ich)\b[^,;:]{0,20}? bei (?P<value>[^,;:!?\n()]{1,40}?) (?:angestellt|beschäftigt|eingestellt)\b",
        ),
        Topic("job", rf"\b(?:ich arbeite|arbeite ich)(?: (?:jetzt|nun|seit \w+))* als {VALUE}"),
        Topic(
            "job",
            r"\b(?:ich bin|bin ich)(?: (?:jetzt|nun|seit \w+|von Beruf|gelernter|gelernte))* (?P<value>\w+)",
            among=words(_JOBS),
        ),
        Topic("job", r"\bich war (?:früher|bis \w+|lange) (?P<value>\w+)", among=words(_JOBS), ended=True),
        Topic("allergy", r"\b(?:allergisch|Allergi\w+)\b"),
        Topic(
            "diet",
            r"\b(?:ich bin|bin ich)(?: jetzt| nun| seit \w+)* (?P<value>Vegetarier(?:in)?|Veganer(?:in)?|vegan|vegetarisch)\b",
        ),
        Topic("diet", r"\bich (?:esse|ernähre mich)(?: \w+)? (?:kein Fleisch|keinen Fisch|vegan|vegetarisch)\b"),
        Topic(
            "car",
            r"\b(?:habe|haben) (?:\w+ ){0,3}?(?:mein|unser) Auto (?:verkauft|verschrottet|abgegeben)\b",
            ended=True,
        ),
        Topic(
            "car",
            r"\b(?:ich fahre|fahre ich)(?: jetzt| nun)? (?:einen|eine|ein) (?:(?:alten?|neuen?|gebrauchten?|kleinen?) )*"
            rf"(?!Rad|Fahrrad|Bus|Zug){VALUE}",
            proper=True,
        ),
        Topic("car", rf"\bmein (?:neues )?Auto ist(?: jetzt)? ein {VALUE}", proper=True),
        Topic(
            "{role}",
            rf"\b(?:mein|meine) (?:neue[rs]? )?{_PERSON} heißt(?: jetzt| nun)? (?:{_TITLED})?{VALUE}",
            proper=True,
        ),
        Topic(
            "{role}", rf"\b(?:mein|meine) (?:neue[rs]? )?{_PERSON} ist(?: jetzt| nun)? {_TITLED}{VALUE}", proper=True
        ),
        Topic("{role}", rf"\b(?:mein|meine) (?:neue[rs]? )?{_PERSON} ist(?: jetzt| nun) {VALUE}", proper=True),
        Topic(
            "{role}", rf"\bzu (?:{_TITLED})(?P<value>\w+) als (?:meine[mnr]? )?(?:neue[mnr]? )?{_PERSON}\b", proper=True
        ),
        Topic("{role} name", rf"\b(?:mein|meine) {_PET} heißt {VALUE}", proper=True),
        Topic("favourite {role}", rf"\bmeine?r? Lieblings(?P<role>\w+) (?:ist|heißt)(?: jetzt)? {VALUE}"),
    ),
    roles={word.lower(): key for word, key in (_PERSONS | _PETS).items()},
    articles=words("der die das dem den des ein eine einem einen einer mein meine meinem meiner unserem"),
    cut=words(
        "und oder aber denn weil seit mit als bei an auf in im am für von vom zu bis nun jetzt inzwischen wieder mehr wo "
        "wer die der das während wenn nachdem bevor dieses letztes nahe ist war nicht auch"
    ),
    also=r"\b(?:auch|außerdem|nebenbei|zusätzlich|beide|Nebenjob|Teilzeit)\b",
)
