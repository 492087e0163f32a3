"""Italian."""

from penchant.conversation.instructions.languages.table import Table

_ANSWER = r"(?:rispost[ae]|messagg(?:io|i))"
_VERB = (
    r"(?:rispond(?:i|a|ere|imi)|scriv(?:i|a|ere|imi)|parl(?:a|i|are|ami|iamo)|us(?:a|i|are)|utilizz(?:a|i|"
    r"are)|evit(?:a|i|are)|termin(?:a|i|are)|finisc(?:i|a)|finire|conclud(?:i|a|ere)|chiud(?:i|a|ere)|"
    r"inizi(?:a|are)?|"
    r"cominci(?:a|are)?|d(?:ai|ia|are|ammi|armi)|limit\w+|resta|mantieni|sii|sia|essere|spieg(?:a|hi|are|"
    r"ami)|chiam(?:a|i|are|ami)|mett(?:i|a|ere)|cit(?:a|i|are)|aggiung(?:i|a|ere)|risparmiami|continua|"
    r"comment(?:a|i|are)|"
    r"traduc\w*|comportati|fai|faccia|fare|falli|dimmi|dici|dire|fammi|indic\w+|mostra|tieni|ricordati|"
    r"firma|nomin\w+|chied\w+|tratta\w*)"
)

ITALIAN = Table(
    durable=(
        r"\b(?:prendi l'abitudine|abituati|per tutt[ei] (?:le|i) (?:prossim|futur)\w*)\b",
        r"(?:\bd'ora in (?:poi|avanti)|\bda (?:ora|adesso|oggi|questo momento)(?: in (?:poi|avanti))?|"
        r"\bin futuro|\bper il futuro|\bin tutte le nostre (?:conversazioni|chat)|\bper sempre|\bin avvenire|"
        r"\bda qui in (?:poi|avanti))\b",
    ),
    always=(
        r"\b(?:in nessun momento|per nessun motivo|in nessun caso|in ogni caso|in generale|di continuo|"
        r"tutto il tempo|per tutto il tempo)\b",
        r"\b(?:sempre|mai(?: più)?|sistematicamente|ricorda(?:ti)?|tieni (?:a mente|presente|conto)|"
        r"non dimenticare|di default|senza eccezioni)\b",
    ),
    each=(
        r"\b(?:in qualunque \w+|in qualsiasi \w+|qualunque (?:sia|lingua)|non importa|in ogni (?:risposta|"
        r"messaggio)|a prescindere)\b",
        rf"\b(?:ogni(?: (?:tua|tuo|sua|suo|singol[ao]))? {_ANSWER}|ciascuna (?:delle tue )?{_ANSWER}|"
        rf"tutt[ei] (?:le|i|le tue|i tuoi) {_ANSWER}|nelle (?:tue |prossime )*{_ANSWER}|nei (?:tuoi |"
        rf"prossimi )*{_ANSWER}|per {_ANSWER}|(?:tue|tuoi)(?: prossim[ei])? {_ANSWER}|"
        r"ogni volta che mi \w+|qualunque cosa (?:ti )?chieda|quando mi (?:scrivi|rispondi|parli)|"
        r"tutto quello che mi (?:scrivi|dici)|con me)\b",
    ),
    here=(
        r"\b(?:(?:per|durante|in) (?:tutta (?:la|questa|nostra) |questa |la )?(?:sessione|lezione|partita|"
        r"intervista))\b",
        r"\b(?:in questa (?:chat|conversazione|sessione|discussione|chiacchierata)|in questo (?:dialogo|"
        r"thread)|per (?:questa|tutta la|tutta questa|la) (?:sessione|conversazione|chat|discussione)|"
        r"per tutta la nostra \w+|durante (?:tutta )?(?:questa|la) (?:chat|conversazione|sessione)|"
        r"per (?:ora|adesso|il momento)|oggi|qui|salvo diversa indicazione|se non dico altro|"
        r"a meno che (?:non )?dica)\b",
    ),
    rules=(
        r"\b(?:regole (?:per|di) (?:questa|questo|te|la)|(?:due|tre|alcune|\d) (?:cose|regole|condizioni) prima)\b",
    ),
    until=(
        r"\bfino a(?:l|lla|lle|d)? (?!ora|adesso|qui)[^,.;:!?\n]+?(?=\s*(?:[,.;:!?\n]|\b(?:parlami|chiamami|"
        r"rispondi|scrivi|voglio|usa|ok)\b|$))",
        r"\bfinch[eé] [^,.;:!?\n]+|\bfino a quando [^,.;:!?\n]+",
    ),
    counted=(
        rf"\b(?:per|nelle|nei) (?:le |i |le mie )?(?:prossim[ei] (?P<n>\d+|\w+)|(?P<m>\d+|"
        rf"\w+) prossim[ei]) (?:{_ANSWER}|domande)\b",
    ),
    spanned=(
        r"\bper (?:le |i )?(?:prossim[ei] )?(?P<n>\d+|\w+) (?P<unit>minut[oi]|or[ae]|giorn[oi]|settiman[ae]|"
        r"mes[ei])\b",
    ),
    when=(r"\b(?:quando|ogni volta che|se) ti (?:mando|invio|chiedo|do|scrivo|passo|dico|mostro|faccio)\b",),
    verb=(
        rf"(?:^|[,;:\n]\s*|\b(?:e|quindi|perciò|ma|allora|ah|per favore|sempre|mai|non|poi|avanti|oggi|ora|"
        rf"adesso|codice|parola|esempi|tu|più|anzi|futuro)\s+|(?:^|\n)\s*[-*•\d.)]+\s*){_VERB}\b",
        r"\b(?:devi|deve|puoi|può|sei|smettila di|smetti di|parliamo)\b",
        r"\b(?:potresti|puoi|potrebbe)\b",
        r"\b(?:vorrei|voglio|preferirei|preferisco|mi piacerebbe|mi aspetto) che (?:tu )?(?:non )?(?:mi )?\w+",
        r"\b(?:rispost[ae]|esempi|prezzi|numeri|codice) (?:\w+ ){0,2}dev(?:e|ono)\b|\bmi dia del\b",
    ),
    act=(
        r"\b(?:deve|devono|dovrebbe|dovrebbero|può|possono)\b|\bnon (?:deve|devono|devi) mai\b",
        r"(?:^|[,:;]\s*)(?:parliamo|usiamo|restiamo|facciamo|diciamo|contiamo|siamo d'accordo che|"
        r"che (?:tutte le tue|ogni tua|tutti i tuoi))\b",
        r"^\W*(?:lascia\w*|fai|fa'|fallo|gioca|cerca|preferisci|scegli|segui|controlla|togli|elimina|ignora|"
        r"adotta|tratta|conta|presenta|pensa|immagina|sii|prendi|abituati|ometti|tralascia|prova|cura|"
        r"mantieni|agisci|interpreta)\b",
        r",\s*(?:fai|fallo|sii|lascia\w*|metti|usa)\b",
    ),
    wish=(r"\b(?:non )?(?:voglio|vorrei|preferisco|preferirei|odio|detesto|amo|mi piac\w+|mi serve|mi servono)\b",),
    please=(r"\b(?:per favore|per piacere|per cortesia|grazie)\b",),
    alone=(
        r"\bsiamo d'accordo che\b",
        r"\bmi chiamo [^.!?]+\b(?:ma|quindi)\b",
        r"\b(?:agisci|comportati) come\b|\b(?:fai|interpreta|assumi|recita) (?:la parte|il ruolo)\b|"
        r"\bche tu faccia (?:il|la|l')\b",
        r"\bchiamami\b|\bmi chiami\b(?! dopo)|\bnon chiamarmi\b|\b(?:mi dia|dammi|diamoci|darmi|darci|"
        r"darle) del (?:tu|lei)\b|\bma tu usa\b|\bmi chiamo \w+ ma\b",
    ),
    habit=(
        r"\bsmett(?:ila|i|ere) di (?!farlo)\w+|^(?:e |per favore,? )*(?:basta|niente più|non più) (?!così|"
        r"con questo)\w+|\bnon (?:mi )?\w+ più\b|\bmai più\b",
    ),
    opinion=(
        r"\b(?:vedo|noto) che\b|\baggiungi sempre\b",
        r"\b(?:odio|detesto|non mi piac\w+|non sopporto|adoro|preferisco)\b",
    ),
    request=(
        r"\b(?:ok|okay|va bene|d'accordo)\s*\?|\bsiamo d'accordo\b",
        r"\b(?:potresti|potrebbe|puoi|può|vuoi)\b|\bper (?:favore|piacere|cortesia)\b",
    ),
    once=(
        r"\b(?:questa domanda|questa volta|stavolta|questo (?:testo|messaggio|paragrafo)|questa (?:frase|"
        r"risposta|mail|lettera)|solo il numero|di nuovo,|ho fretta|per una volta|il testo)\b",
    ),
    artefact=(
        r"\b(?:scriv(?:i|a)|componi|inventa|crea|fai|fammi|immagina|genera|prepara|redigi)\s(?:una? |uno |un'|"
        r"delle |dei |tre |due |\d+ )(?!(?:elenchi?|rispost[ae]|tabell[ae])\b)\w+",
        r"^(?:ora |adesso |per favore,? |puoi )*(?:riscriv\w+|traduc\w+|corregg\w+|riassum\w+|riformul\w+|"
        r"raccontami|imposta|di' a|dì a|insegna a|dammi (?:una? |tre |due |\d+ ))",
        r"\bnel (?:mio|un) (?:romanzo|racconto|libro|gioco|film)\b|\bnell'annuncio\b|\bche stai per\b|"
        r"\bdi' a\b|\bchiedere a\b|\bcome (?:chiedo|dico)\b|\binsegna a\b",
    ),
    reported=(
        r"\b(?:diceva|secondo (?:il|la|lo|me)|lo trovo ridicolo|non si \w+ mai)\b",
        r"\b(?:lui|lei|loro|chi|che|(?:il|la|lo|i|le|gli|un|una) (?:mi[ao] |miei |mie )?\w+|l'\w+) (?:ci |mi |"
        r"gli |ha |hanno |sempre )*(?:dic[eo]\w*|dett[oa]|diceva|chied\w+|chiest[oa]|vuole|voleva|pretende|"
        r"ordin[aò]\w*|scrive|scritto|insiste|ripete|chiamano|dà del)\b|^vuole che\b|\bla regola è\b|"
        r"\bda noi\b",
    ),
    subject=(
        r"^(?:vedo|noto)\b|\b\w+iamo (?:sempre|mai)\b",
        r"^(?:e |ma |d'ora in poi,? |da (?:domani|oggi),? |fino a \w+,? |oggi,? |sempre |non )*(?:io |noi |"
        r"il mio |la mia |i miei |gli amici |faccio|ho |sono |vivo|vado|bevo|mi (?:metto|alzo|trasferisco)|"
        r"il \w+ |è (?!meglio))",
        r"\b(?:d'ora in poi|da domani|fino a \w+),? (?:sono|vivo|vado|mi metto|ho|lavoro)\b",
    ),
    unless=(
        r"\bse te lo (?:chiedessi|dicessi)\b|\bbisogna\b|^(?:perché|che cosa|cosa|quando|come|chi|quale)\b[^:]*\?",
    ),
    finite=(r"\b(?:era|erano|è|sono|ha|hanno|aveva|fu|sembra|funziona|contiene|succede|stava|ebbe)\b",),
    all_over=(
        r"\b(?:dimentica|ignora|annulla|cancella|elimina|scorda)\b[^.!?\n]{0,15}\b(?:tutt[eoi]|le mie|le tue|"
        r"le)\b[^.!?\n]{0,25}\b(?:istruzioni|regole|indicazioni|richieste|detto)\b",
    ),
    over=(
        r"^(?:ok|va bene|bene|e|grazie|ora|adesso|dai|,|\.|\s)*(?:smettila|smetti(?:la)?(?: di farlo|"
        r" con questo)?|lascia (?:perdere|stare)|dimenticalo|dimentica (?:questo|quello|ciò)|"
        r"torna (?:alla normalità|normale)|(?:parla|scrivi|rispondi) (?:di nuovo )?normal(?:e|"
        r"mente)(?: di nuovo)?|come prima|puoi smettere(?: adesso| ora)?|basta così con questo|non farlo più)"
        r"(?:\s*(?:per favore|grazie|ora|adesso|,))*\s*[.!]*$",
    ),
    release=(
        r"\b(?:puoi (?:ora )?(?:smettere|lasciare|dimenticare|evitare) |non (?:serve|occorre|c'è bisogno|devi|"
        r"hai bisogno)(?: più)?|dimentica (?:il|la|lo|le|i|l')|smett(?:ila|i) di|non \w+ più|basta|niente più)",
    ),
    negated=(r"\b(?:non|mai|senza|evit\w*|smett\w*|niente|nessun\w*|risparmiami|basta)\b",),
    joint=(
        r",?\s+(?:per questo|perché così|dunque|così)\s+",
        r",?\s+(?:e|quindi|perciò|ma|allora)\s+",
        r"\s*[;–—]\s*",
        r"\s-\s",
    ),
    said=(
        r"\b(?:finch[eé]|fino a quando) (?:non )?(?:ti |io )?(?:dico|chiedo|scrivo|"
        r"dirò)(?: di)?\s+(?P<x>[^,.;!?\n]+)",
    ),
    slots={
        "address": (
            r"\bmi chiamo\b",
            r"\bchiamami\b|\bmi chiami\b|\bnon chiamarmi\b|\bmi chiamo\b",
        ),
        "formality": (r"\bdel (?:tu|lei)\b|\btutearmi\b",),
        "ending": (r"\b(?:termin\w+|finisc\w+|finire|conclud\w+|chiud\w+)\b[^.!?\n]{0,40}\bcon\b|\balla fine\b",),
        "opening": (r"\b(?:inizi\w*|cominci\w*|apr[ie]\w*)\b[^.!?\n]{0,40}\bcon\b|\ball'inizio\b",),
        "words": (r"\b(?:la parola|le parole|l'espressione|il termine)\b",),
        "format": (
            r"\b(?:elenc\w+|punti elenco|puntati|tabell[ae]|json|xml|yaml|csv|markdown|testo semplice|"
            r"grassett[oi]|corsivo|titoli|paragrafi|numerat[ie]|in lettere)\b",
        ),
        "code": (r"\b(?:codice|java|python|javascript|esempi in)\b",),
        "language": (
            r"\b(?:in|all'|solo|l')\s?(?:inglese|italiano|francese|tedesco|spagnolo|portoghese|olandese|polacco|"
            r"russo|turco|latino|norvegese|svedese|arabo|cinese|giapponese)\b|\bortografia\b",
        ),
        "units": (
            r"\b(?:metric[ao]|metriche|unità|chilometri|miglia|celsius|fahrenheit|formato (?:a |da )?24 ore|euro|"
            r"franchi|dollari|"
            r"valuta|fuso|distanze)\b",
        ),
        "case": (r"\b(?:minuscol[oaie]|maiuscol[oaie]|stampatello)\b",),
        "emoji": (r"\b(?:emoji|emoticon|faccine)\b",),
        "punctuation": (
            r"\b(?:virgol[ae]|punt[io] esclamativ[io]|punt[io] interrogativ[io]|punt[io] e virgola|trattin[io]|"
            r"punteggiatura|parentesi|virgolette)\b",
        ),
        "length": (
            r"\b(?:brev[ei]|cort[oaie]|lung(?:o|a|hi|he)|concis[oaie]|dettagliat[oaie]|una parola|sì o no)\b|"
            r"\b(?:\d+|una?|due|tre|quattro|cinque|sei|dieci|venti|trenta|cinquanta|cento) (?:parol[ae]|fras[ei]|"
            r"righ?[ae]|righe|caratteri|paragrafi)\b",
        ),
        "sources": (
            r"\bi link\b",
            r"\b(?:font[ei]|riferiment[io]|citazion[ei]|link)\b",
        ),
        "level": (r"\b(?:bambin[oa]|principiante|esperto|profano)\b",),
        "persona": (
            r"\b(?:agisci|comportati) come\b|\b(?:il ruolo|la parte) d\b|\bche tu faccia (?:il|la)\b|"
            r"\bfinta di essere\b|\bcome se fossi\b",
            r"\b(?:come (?:un|uno|una|se fossi|mia|mio)|nel tuo ruolo|il ruolo di|pirata)\b|\bsei (?!libero|stato|"
            r"molto|sicuro)\w+",
        ),
        "tone": (
            r"\b(?:sincer[oa]|franc[oa]|onest[oa]|rima|rime|parolacce|dirett[oa]|dolce|calor\w+)\b",
            r"\b(?:tono|formal[ei]|formalmente|informal[ei]|cortese|amichevole|sarcas\w*|umorismo|divertente|"
            r"seri[oa]|scus\w+|parole (?:molto )?semplici|linguaggio semplice|accademico|registro|gergo|"
            r"alla buona)\b",
        ),
    },
    common=frozenset(
        [
            "il",
            "la",
            "lo",
            "gli",
            "le",
            "che",
            "di",
            "non",
            "un",
            "una",
            "per",
            "sono",
            "della",
            "con",
            "è",
            "ho",
            "anche",
            "e",
            "tu",
            "mi",
            "ti",
            "in",
            "da",
            "del",
            "tue",
        ]
    ),
    stops=frozenset({"stop", "basta", "smettere", "fermati", "smettila"}),
    polite=frozenset(["per", "favore", "piacere", "grazie", "ora", "adesso", "ok", "e", "va", "bene", "dico"]),
    numbers={
        "un": 1,
        "uno": 1,
        "una": 1,
        "due": 2,
        "tre": 3,
        "quattro": 4,
        "cinque": 5,
        "sei": 6,
        "sette": 7,
        "otto": 8,
        "nove": 9,
        "dieci": 10,
    },
    weekdays=("lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica"),
    months=(
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ),
    tomorrow=r"\bdomani\b",
    units={
        "minuto": "minutes",
        "minuti": "minutes",
        "ora": "hours",
        "ore": "hours",
        "giorno": "days",
        "giorni": "days",
        "settimana": "weeks",
        "settimane": "weeks",
        "mese": "months",
        "mesi": "months",
    },
)
