"""Italian."""

import re

from penchant.conversation.facts.language import VALUE, Language, Topic, one_of, roles, words

_PERSONS = roles(
    "dentist: dentista; doctor: medico dottore dottoressa; boss: capo; therapist: terapeuta psicologo psicologa; "
    "lawyer: avvocato avvocata; hairdresser: parrucchiere parrucchiera; landlord: padrone padrona; "
    "vet: veterinario veterinaria; accountant: commercialista; partner: moglie marito fidanzata fidanzato compagna "
    "compagno ragazza ragazzo; coach: allenatore allenatrice; bank: banca; insurer: assicurazione"
)
_PETS = roles(
    "dog: cane cagnolino cagna; cat: gatto gatta; horse: cavallo; parrot: pappagallo; rabbit: coniglio; hamster: criceto"
)
_PERSON, _PET = one_of(_PERSONS), one_of(_PETS)
_TITLE = r"(?:(?:il |la |l')?(?:dottor|dottoressa|dott|dott\.ssa|dr|signora?|signor|sig|sig\.ra|professor|professoressa)\.? +)?"
_MINE = r"(?:(?:il|la|i|le) )?(?:mio|mia|miei|mie|nostro|nostra|nostri|nostre)"
_JOBS = (
    "infermiere infermiera medico professore professoressa insegnante maestro maestra ingegnere programmatore "
    "programmatrice sviluppatore sviluppatrice panettiere panettiera falegname elettricista idraulico avvocato avvocata "
    "studente studentessa commercialista contabile architetto architetta giornalista scrittore scrittrice cuoco cuoca "
    "autista pompiere farmacista fisico fisica ricercatore ricercatrice bibliotecario bibliotecaria agricoltore "
    "giardiniere parrucchiere parrucchiera meccanico pilota fotografo fotografa musicista attore attrice artista pittore "
    "pittrice traduttore traduttrice cameriere cameriera ostetrica veterinario veterinaria commesso commessa psicologo "
    "psicologa pensionato pensionata postino postina poliziotto poliziotta dentista segretario segretaria"
)
_VERB = (
    "abito|vivo|lavoro|studio|insegno|guido|possiedo|gioco|corro|cucino|dipingo|canto|ballo|nuoto|arrampico|colleziono|"
    "porto|fumo|bevo|mangio|parlo|prendo|adoro|amo|odio|detesto|preferisco|sopporto|viaggio|imparo|parto|suono|leggo|"
    "pratico|soffro|affitto|temo|mi sposo|mi trasferisco|mi chiamo|mi alzo|vado|abitiamo|viviamo|partiamo|andiamo|"
    "lavoriamo|faccio (?:yoga|sport|volontariato|nuoto|il|la|l')|coltivo|risparmio|volo|vengo da|crebbi|nacqui"
)
_DONE = (
    "venduto|comprato|adottato|lasciato|cambiato|cominciato|iniziato|smesso|perso|vinto|prenotato|imparato|visitato|"
    "festeggiato|ereditato|fondato|costruito|affittato|vissuto|lavorato|studiato|conosciuto|finito|avuto|preso|"
    "viaggiato|corso|sposato|compiuto|deciso|aperto|pubblicato|piantato|abitato|divorziato"
)

ITALIAN = Language(
    code="it",
    stemmer="italian",
    hints=words("so vivevo abitavo lavoravo giocavo passavo andavo aspettiamo")
    | words(re.sub(r"[^\w ]", " ", _VERB))
    | words("mio mia miei mie nostro nostra nostri nostre mi ci sono siamo ho abbiamo avevo ero sto stiamo chiamami"),
    says=(
        r"\bmi (?:annoia|annoiano|interessa|interessano|rilassa|disturba|fa (?:male|paura|stare)|fanno (?:male|paura)|ha assunto)\b|\baspettiamo (?:il|la|un)\b",
        r"\bnon so (?:nuotare|guidare|cucinare|leggere|sciare|ballare|cantare|suonare|andare in bici\w*)\b|(?<!\w)(?:vivevo|abitavo|lavoravo|giocavo|passavo|andavo)\b|\bho preso casa\b",
        rf"(?<![\w'])(?<!\bil )(?<!\bun )(?<!\bal )(?<!\bdi )(?<!\blo )(?<!mio )(?:{_VERB})\b",
        r"(?<!\w)(?:mi sono|ci siamo|sono|siamo) (?:\w+ )?(?:trasferit|sposat|laureat|iscritt|rott|separat|nat|cresciut|andat|stat[oaie] (?:in|a)|"
        r"divorziat|fidanzat|diventat|pensionat|partit|arrivat)\w*",
        rf"(?<!\w)(?:ho|abbiamo|l'ho) (?:\w+ )?(?:{_DONE})\b",
        r"(?<!\w)(?:ho|abbiamo|avevo|avevamo) (?:\w+ )?(?:un|una|un'\w+|uno|due|tre|quattro|cinque|\d+|paura|figli|diversi|molti|il diabete|l'asma|"
        r"gemelli|le vertigini|allergi\w+|appuntamento)\b",
        r"(?<!\w)(?:sono|siamo|ero) (?:\w+ )?(?:allergic\w+|vegetarian\w+|vegan\w+|sposat\w+|divorziat\w+|single|vedov\w+|incinta|"
        r"pensionat\w+|in pensione|mancin\w+|daltonic\w+|sord\w+|ciec\w+|musulman\w+|cristian\w+|ebre\w+|cattolic\w+|buddist\w+|"
        r"ate\w+|di|un|una|un'\w+|il|la|diabetic\w+|celiac\w+|intollerante|appassionat\w+|madre|padre|disoccupat\w+|"
        r"fan|italian\w+|membro|originari\w+)\b",
        r"\b(?:sto|stiamo) (?:imparando|studiando|pianificando|risparmiando|lavorando (?:per|come|in)|allenando|scrivendo un|organizzando)\b",
        r"\b(?:mi|ci) (?:piace|piacciono|appassiona|appassionano)\b|\bnon (?:mi piace|mi piacciono)\b",
    ),
    mine=(
        rf"(?<!\w){_MINE} (?:(?:nuovo|nuova|migliore|prim[oa]|vecchi[oa]|car[oa]) )*([^\W\d_]+)"
        r"(?: (?:preferit[oa]|maggiore|minore|piccol[oa]|[^\W\d_]+))?? (?:è|sono|era|ha|hanno|aveva|si chiama|si chiamano|vive|vivono|"
        r"abita|abitano|lavora|ama|odia|gioca|suona|studia|viene|parte|va|soffre|parla|morì|compie|comincia)\b",
    ),
    never=(
        r"(?<!\w)(?:credo|penso|suppongo|capisco|vedo|(?<!non )so|spero|immagino|voglio|vorrei|cerco|desidero|intendo|mi chiedo|mi riferisco)\b",
        r"\bmi (?:piacerebbe|sembra|pare|serve|servono)\b|\bho (?:bisogno|voglia|l'impressione)\b",
        r"\bho (?:solo |anche |un'altra )?(?:una |un |un'|alcune |due |un'altra )(?:\w+ )?(?:domanda|dubbio|problema|idea|errore|richiesta|testo|file|lista|tabella)\b",
        r"\bmi (?:piace|piacciono)(?: (?:molto|di più|questo|quest[aoei]|la tua|l'idea|come))?(?:$|[,.!]| (?:quest|la tua|l'idea|come)\b)",
        r"\b(?:sto|sono) (?:molto |abbastanza |un po' )?(?:bene|sicur\w+|pront\w+|d'accordo|pers\w+|confus\w+|content\w+ (?:di|che)|curios\w+|"
        r"grat\w+|qui|cercando|provando|parlando)\b",
        r"\bin mente\b|\bnon (?:capisco|so(?! (?:nuotare|guidare|cucinare|leggere|sciare|ballare|cantare|suonare|andare in bici\w*))|vedo|trovo|sono sicur\w)",
        r"\b(?:la tua|la sua|la prima|la seconda|l'ultima|questa|quella) (?:risposta|soluzione|proposta|spiegazione|versione|idea)\b",
        rf"(?<!\w){_MINE} (?:\w+ )?(?:programma|codice|script|domanda|problema|testo|tema|messaggio|funzione|errore|parere|dubbio)\b",
        r"\bho (?:già )?(?:provato|inviato|incollato|installato|caricato|allegato|copiato|tentato|mandato)\b",
        r"\bparlo (?:del|dell|di quest)",
    ),
    before=(
        r"\b(?:se (?:io )?(?:fossi|avessi|potessi|vivessi|sono|ho|vivo)|supponiamo|supponi|immagina\w*|come se|magari|ha detto|"
        r"dice|dicono|diceva|disse|scrive|scrisse|chiede|pensa che|crede che|lei|lui|loro)\b"
    ),
    opens=(
        r"(?:metti|mettilo|metta|volgi|per favore|puoi|potresti|può|scrivi|scriva|traduci|traduca|dammi|dai|fai|fa'|spiega\w*|descrivi|proponi|"
        r"riassumi|correggi|immagina\w*|supponi|come|che|cosa|dove|quando|perché|chi|qual\w*|devo|aiuta\w*|mostra\w*|dimmi|"
        r"confronta|rispondi|continua|calcola|migliora|riformula|consiglia\w*|suggerisci\w*|crea|genera)\b"
    ),
    material=(
        r"\b(?:traduci|tradurre|traduca|correggi|correggere|migliora|riassumi|riassumere|riformula|analizza|seguenti?|"
        r"testo|lettera|paragrafo)\b[^.?!\n:]{0,60}:"
    ),
    topics=(
        Topic("employer", r"^(?P<value>[^,;:!?\n()]{1,40}?) mi ha (?:assunt[oa])"),
        Topic("residence", rf"\b(?:ho preso casa|affitto (?:un|una|un')\s?\w+) (?:a|in|ad) {VALUE}", proper=True),
        Topic("name", rf"\b(?:mi chiamo|il mio (?:nuovo )?nome è|chiamami)(?: ora| adesso)? {VALUE}", proper=True),
        Topic("age", r"\bho(?: ora| già| compiuto)? (?P<value>\d{1,3}) anni\b"),
        Topic("birthplace", rf"\bsono nat[oa] (?:a|in|ad) {VALUE}", proper=True),
        Topic("residence", rf"\bnon (?:abito|vivo) più (?:a|in|ad) {VALUE}", proper=True, ended=True),
        Topic(
            "residence",
            rf"\b(?:abito|vivo|mi sono trasferit[oa]|mi trasferisco|ci siamo trasferiti)(?: ora| adesso| da \w+)? (?:a|in|ad) {VALUE}",
            proper=True,
        ),
        Topic("phone", r"\b(?:mio|nuovo) numero(?: di telefono)? è(?: ora| il)* (?P<value>\+?[\d][\d ./()-]{3,20})"),
        Topic("email", r"\bmia (?:nuova )?(?:e-?mail|mail) è (?P<value>\S{3,60})"),
        Topic("address", rf"\bmio (?:nuovo )?indirizzo è(?: ora)? {VALUE}"),
        Topic("employer", rf"\bnon lavoro più (?:in|alla|al|allo|all'|da|per|presso|a|con) ?{VALUE}", ended=True),
        Topic("employer", r"\bho (?:perso|lasciato) il (?:mio )?(?:lavoro|posto|impiego)\b", ended=True),
        Topic(
            "employer", rf"\blavoro(?: ora| adesso)? (?:in|alla|al|allo|da|per|presso) (?!casa\b|me\b|vivere\b){VALUE}"
        ),
        Topic("job", rf"\blavoro(?: ora| adesso)? come {VALUE}"),
        Topic("job", r"(?<!\w)sono(?: ora| adesso| un| una| diventat[oa])* (?:un')?(?P<value>\w+)", among=words(_JOBS)),
        Topic("allergy", r"\ballergi(?:c[oai]|che|a|e)\b"),
        Topic("diet", r"\bnon sono più (?P<value>vegetarian[oa]|vegan[oa])\b", ended=True),
        Topic("diet", r"(?<!\w)sono(?: ora| diventat[oa])? (?P<value>vegetarian[oa]|vegan[oa])\b"),
        Topic("diet", r"\bnon mangio (?:più )?(?:carne|pesce|maiale)\b"),
        Topic(
            "car",
            r"\b(?:ho|abbiamo) venduto (?:la|la mia|la nostra) (?:vecchia )?(?:macchina|auto)\b|\bnon ho più la macchina\b",
            ended=True,
        ),
        Topic("car", rf"\bguido(?: ora| adesso)? (?:un|una) (?:(?:vecchi[oa]|nuov[oa]) )*{VALUE}", proper=True),
        Topic("car", rf"\bla mia (?:nuova )?(?:macchina|auto) è una {VALUE}", proper=True),
        Topic(
            "{role}",
            rf"\b(?:mio|mia) (?:nuov[oa] )?{_PERSON} (?:si chiama|è)(?: ora| adesso)? {_TITLE}{VALUE}",
            proper=True,
        ),
        Topic(
            "{role}",
            rf"\b(?:passat[oa]|cambiato|andat[oa]) (?:a|al|alla|dal|dalla) {_TITLE}(?P<value>\w+) come {_PERSON}\b",
            proper=True,
        ),
        Topic("{role} name", rf"\b(?:mio|mia) {_PET} si chiama {VALUE}", proper=True),
        Topic("favourite {role}", rf"\b(?:mio|mia) (?P<role>\w+) preferit[oa] è(?: ora)? {VALUE}"),
    ),
    roles={word.lower(): key for word, key in (_PERSONS | _PETS).items()},
    articles=words("il la lo i gli le un una uno mio mia al alla del della"),
    cut=words(
        "e o ma perché da dal dalla con come in a al alla di del fino ora adesso ancora dove che chi mentre quando dopo prima "
        "questo questa vicino è era non anche per"
    ),
    also=r"\b(?:anche|inoltre|part-time|entrambi)\b",
)
