"""French."""

from penchant.conversation.instructions.languages.table import Table

_ANSWER = r"(?:réponses?|messages?|réactions?)"
_VERB = (
    r"(?:répond(?:s|ez|re)|écri(?:s|vez|re)|parl(?:e|ez|er|ons)|utilis(?:e|ez|er|ons)|évit(?:e|ez|er)|"
    r"emploi(?:e|yez)|employer|termin(?:e|ez|er)|fini(?:s|ssez|r)|conclu(?:s|ez|re)|"
    r"commenc(?:e|ez|er)|début(?:e|ez|er)|donn(?:e|ez|er|es)|fai(?:s|tes|re)|limit(?:e|ez|er)|gard(?:e|ez|"
    r"er)|rest(?:e|ez|er|es)|soi(?:s|t)|soyez|être|expliqu(?:e|ez|er)|mets|mettez|mettre|"
    r"appel(?:le|ez|er)|tutoi(?:e|es)|tutoy(?:ez|er)|vouvoi(?:e|es)|vouvoy(?:ez|er)|cit(?:e|ez|er)|"
    r"ajout(?:e|ez|er)|pos(?:e|ez|er|es)|épargn(?:e|ez|er)|ren(?:ds|voie|voyez|voyer)|di(?:s|tes|re)|"
    r"continu(?:e|ez|er)|"
    r"comment(?:e|ez|er)|tradui(?:s|sez|re)|indiqu(?:e|ez|er)|sign(?:e|ez|er)|comport(?:e|ez)-|joue|rédig(?:e|ez|er))"
)

FRENCH = Table(
    durable=(
        r"\b(?:(?:prends|prenez) l'habitude|habitue-toi|pour toutes? (?:les|tes) (?:prochaine|futur)\w*|"
        r"à compter (?:de|d'))",
        r"(?:\bà partir (?:de maintenant|d'aujourd'hui|d'ici)|\bdésormais|\bdorénavant|\bà l'avenir|"
        r"\bdès maintenant|\bdans toutes nos (?:discussions|conversations)|\bpour toujours|\bdès à présent|"
        r"\bmaintenant c'est|\bpour la suite)\b",
    ),
    always=(
        r"\b(?:à aucun moment|en aucun cas|sous aucun prétexte|en toutes circonstances|en général|"
        r"en permanence|tout le temps)\b",
        r"\b(?:toujours|jamais|systématiquement|retiens|retenez|souviens-toi|rappelle-toi|n'oublie pas|"
        r"garde (?:bien )?en tête|par défaut|sans exception|constamment)\b",
    ),
    each=(
        r"\b(?:peu importe|quelle? que soit|quels que soient|à chaque (?:réponse|message)|n'importe quelle langue)\b",
        rf"\b(?:chaque {_ANSWER}|chacune? de (?:tes|vos) {_ANSWER}|tou(?:te)?s (?:tes|vos|les) {_ANSWER}|"
        rf"dans (?:tes|vos)(?: prochaine?s)? {_ANSWER}|par {_ANSWER}|(?:tes|vos)(?: prochaine?s)? {_ANSWER}|"
        rf"à chaque fois|chaque fois que tu|quoi que je (?:te )?demande|tout ce que tu (?:m'écris|me dis)|"
        rf"quand tu (?:m'écris|me réponds|me parles)|avec moi)\b",
    ),
    here=(
        r"\b(?:(?:pendant|durant|pour|dans) (?:toute (?:la|cette|notre) |cette |la |ce |notre )?(?:séance|"
        r"session|leçon|partie|entretien|exercice|échange))\b",
        r"\b(?:dans cette (?:conversation|discussion|session)|dans ce (?:chat|dialogue|fil)|"
        r"pour cette (?:session|conversation|discussion)|(?:pendant|durant) (?:toute (?:la|cette|notre)|"
        r"tout (?:le|ce|notre)|cette|ce) ?(?:discussion|conversation|session|chat|échange|dialogue)|"
        r"pour l'instant|pour le moment|pour l'heure|aujourd'hui|ici|sauf (?:indication|avis|"
        r"mention) contraire|jusqu'à nouvel ordre)\b",
    ),
    rules=(
        r"\b(?:(?:règles|consignes) (?:pour|de) (?:cette|ce|toi|la)|(?:deux|trois|quelques|\d) (?:consignes|"
        r"règles|choses) avant)\b",
    ),
    until=(
        r"\bjusqu(?:'à|'au|'aux|'en|'à ce que)(?! maintenant| nouvel)[^,.;:!?\n]*?(?=\s*(?:[,.;:!?\n]|"
        r"\bpour que\b|\bs'il\b|\bok\b|$))",
        r"\btant qu(?:e|')\s*[^,.;:!?\n]+|\baussi longtemps qu[^,.;:!?\n]+",
    ),
    counted=(
        rf"\b(?:pour|dans|pendant) (?:les|tes|vos|mes) (?:(?P<n>\d+|\w+) prochaine?s|prochaine?s (?P<m>\d+|"
        rf"\w+)) (?:{_ANSWER}|questions)\b",
    ),
    spanned=(
        r"\b(?:pendant|pour|durant) (?:les )?(?:prochaine?s )?(?P<n>\d+|"
        r"\w+) (?:prochaine?s )?(?P<unit>minutes?|heures?|jours?|"
        r"semaines?|mois)\b",
    ),
    when=(
        r"\b(?:quand|lorsque|dès que|chaque fois que|si|à chaque fois que) je (?:te|t'|vous) ?\w+|\b(?:quand|"
        r"lorsque|dès que|chaque fois que) je (?:pose|demande)",
    ),
    verb=(
        rf"(?:^|[,;:\n]\s*|\b(?:et|alors|donc|merci de|veuillez|mais|puis|ah|toujours|jamais|plus|pas|"
        rf"désormais|dorénavant|maintenant|aujourd'hui|code|mot|instant|ne|n'|me|te|systématiquement)\s*|(?:^|"
        rf"\n)\s*[-*•\d.)]+\s*){_VERB}(?:-(?:moi|toi|vous|les|le|la))?\b",
        r"\b(?:tu|vous) (?:dois|devez|devras|peux|pouvez|vas|es|êtes|restes|réponds|répondez|écris)\b|"
        r"\b(?:il faut|j'aimerais|je veux|je voudrais|je préfère|je préférerais|je souhaite) que (?:tu|vous)\b",
        r"\b(?:peux|pourrais|pouvez|pourriez|veux)-(?:tu|vous)\b",
        r"\b(?:réponses?|exemples?|prix|nombres|code) (?:\w+ ){0,2}(?:doi(?:t|vent)|devra(?:it)?)\b|\bon parle\b",
    ),
    act=(
        r"\b(?:doit|doivent|devra|devront|devrait|devraient|dois|devez) (?:toujours|jamais|pas|être|rester|"
        r"avoir|\w+er|\w+ir|\w+re)\b|\b(?:ne|n')\s?(?:doit|doivent|dois|devez) jamais\b",
        r"\b(?:que tu|que vous) (?!(?:as|avez|es|êtes|vas)\b)\w+(?:es|ez|ses|tes|ves|sses)\b",
        r"(?:^|[,:;]\s*)(?:on (?:se parle|parle|compte|utilise|écrit|reste|n'utilise)|parlons|utilisons|"
        r"restons|convenons|disons|on est d'accord que tu)\b",
        r"^\W*(?:que (?:toutes |chaque |tes |chacune ))",
        r"^\W*(?:laisse|prends|joue|fais|tiens|évite|privilégie|préfère|choisis|suis|vérifie|renonce|retire|"
        r"supprime|ignore|adopte|traite|compte|présente|pense|reste|veille|imagine|mets|sois)(?:z|-\w+)?\b",
        r",\s*(?:fais|sois|mets|joue|laisse|prends|tiens|reste|pense)\b",
    ),
    wish=(
        r"\b(?:je (?:ne )?(?:veux|voudrais|préfère|souhaite|déteste|n'aime|aime)|j'aimerais|je n'aime pas|"
        r"je préférerais|il me faut)\b",
    ),
    please=(r"\b(?:s'il (?:te|vous) pla[iî]t|stp|svp|merci|je (?:te|vous) prie)\b",),
    alone=(
        r"\bon est d'accord que tu\b",
        r"\bje m'appelle [^.!?]+\b(?:mais|alors|donc)\b",
        r"\b(?:joue|jouer|joues|jouez|prends|assume|endosse)\w* le rôle\b|\bcomporte-toi comme\b|"
        r"\bagis comme\b|\bmets-toi dans la peau\b",
        r"\b(?:appelle|appelez)-moi\b|\bne m'appel\w+ (?:pas|plus)\b|\bvouvo(?:ie|yez)-moi\b|\btuto(?:ie|"
        r"yez)-moi\b|\b(?:peux|pouvez|pouvons) (?:me |nous )?(?:tutoyer|vouvoyer)\b|\bmon prénom c'est\b|"
        r"\butilise (?:mon prénom|le prénom)",
    ),
    habit=(
        r"\barrête(?:z)? (?:de |d')(?!faire ça)\w+|\bcesse(?:z)? (?:de |d')\w+|^(?:et |"
        r"s'il te plaît,? )*plus (?:de |d')\w+|\bfini(?:s)? les\b",
        r"\b(?:ne|n') ?(?:me |m'|te )?(?:\w+)\s+(?:\w+ )?plus\b",
    ),
    opinion=(
        r"\bje (?:remarque|vois|constate) que tu\b|\btu \w+ toujours\b",
        r"\b(?:je (?:déteste|n'aime pas|adore|préfère|ne supporte pas))\b",
    ),
    request=(
        r"\b(?:ok|okay|d'accord|ça marche|entendu)\s*\?|\bon est d'accord\b",
        r"\b(?:peux|pourrais|pouvez|pourriez|veux|voulez)-(?:tu|vous)\b|\btu (?:peux|pourrais)\b|\bs'il (?:te|"
        r"vous) pla",
    ),
    once=(
        r"\b(?:cette question|cette fois|ce (?:message|mail|texte|paragraphe|coup)|cette (?:phrase|réponse|"
        r"lettre)|juste le nombre|encore une fois|fais court, je|pour une fois|le texte)\b",
    ),
    artefact=(
        r"\b(?:écri(?:s|vez)|rédige(?:z)?|compose(?:z)?|invente(?:z)?|crée(?:z)?|fai(?:s|tes)|imagine(?:z)?|"
        r"génère(?:z)?|prépare(?:z)?)\s?(?:-moi )?(?:une? |des |trois |deux |\d+ )(?!(?:listes?|réponses?|"
        r"phrases courtes|tableaux)\b)\w+",
        r"^(?:maintenant |s'il te plaît,? |peux-tu |tu peux )*(?:réécri\w+|tradui\w+|corrige\w*|résume\w*|"
        r"reformule\w*|raconte\w*|configure\w*|dis à|dites à|apprends à|traduis|donne-moi (?:une? |trois |"
        r"deux |des |\d+ ))",
        r"\bdans (?:mon|un|le|ma|une) (?:roman|histoire|livre|jeu|film|pièce|nouvelle|scénario)\b|"
        r"\bl'annonce\b|\bcomment (?:demander|dire)\b|\bdemander à\b|\bdis à (?:mon|ma|mes)\b|"
        r"\bque tu vas (?:rédiger|écrire)\b",
    ),
    reported=(
        r"\b(?:disait|d'après|selon|il ne faut jamais|ce que je trouve)\b",
        r"\b(?:il|elle|ils|elles|on|qui|(?:mon|ma|mes|le|la|les|un|une|notre) (?!monde)\w+|l'\w+) (?:a |ont |"
        r"nous |me |"
        r"m'|lui )*(?:toujours )?(?:di(?:t|sent|sait)|demand(?:e|é|ait|ent)|veut|voulait|exige|ordonne|"
        r"a demandé|écri(?:t|vait)|répète|insiste|raconte|m'appellent|appellent|me tutoie|tutoie|m'a dit)\b"
        r"|\bil était écrit\b|\bla règle,? c'est\b|\bchez nous\b|\bque je l'appelle\b",
    ),
    subject=(
        r"^(?:je (?:remarque|vois|constate))\b|\b(?:on|nous) \w+ (?:toujours|jamais)\b",
        r"^(?:et |mais |donc |à partir de \w+,? |jusqu'à \w+,? |désormais,? |aujourd'hui,? |toujours |"
        r"bref,? )*(?:je (?!(?:veux|voudrais|préfère|souhaite|déteste|n'aime|aime|préférerais|ne veux)\b)|"
        r"j'(?!aimerais|aime)|nous |il (?!faut|me faut)|elle |ils |elles |mon (?!prénom)\w+ |ma \w+ |mes \w+ |"
        r"ça )",
        r"\b(?:à partir de \w+|jusqu'à \w+|désormais|dorénavant),? (?:je (?!veux|voudrais|préfère|souhaite|"
        r"déteste|ne veux)|j'(?!aimerais))",
    ),
    unless=(
        r"\bsi je te le (?:demandais|disais)\b|\bfaut-il\b|^(?:pourquoi|que|qu'|quand|comment|"
        r"quel\w*)\b[^:]*\?|\best-ce que tu\b",
    ),
    finite=(
        r"\b(?:était|étaient|est|sont|a été|avait|avaient|fut|disait|semble|marche|arrive|contient|reste vide|"
        r"ai|as|a|ont)\b",
    ),
    all_over=(
        r"\b(?:oublie(?:z)?|ignore(?:z)?|annule(?:z)?|efface(?:z)?|"
        r"supprime(?:z)?)\b[^.!?\n]{0,15}\b(?:tou(?:te)?s?|mes|tes|les)\b[^.!?\n]{0,25}\b(?:consignes?|"
        r"instructions?|règles?|demandes?|dit)\b",
    ),
    over=(
        r"^(?:ok|d'accord|bon|bien|et|allez|merci|maintenant|,|\.|\s)*(?:arrête(?:z)?(?: ça| cela|"
        r" maintenant)?|stop à ça|laisse tomber(?: ça)?|oublie (?:ça|cela)|(?:on )?revien(?:s|t|ons|"
        r"ez) à la normale|reviens au normal|(?:parle|réponds|écris) (?:de nouveau |"
        r"à nouveau )?normalement(?: maintenant| à nouveau)?|comme avant|tu peux (?:arrêter|cesser)(?: ça|"
        r" maintenant)?|assez de ça|ça suffit avec ça)"
        r"(?:\s*(?:s'il te plaît|stp|merci|maintenant|,))*\s*[.!]*$",
    ),
    release=(
        r"\b(?:(?:tu peux|vous pouvez) (?:maintenant )?(?:arrêter|cesser|oublier|laisser)|(?:plus|"
        r"pas) besoin (?:de|d')|(?:tu n'as|vous n'avez) (?:plus|pas) (?:besoin|à)|tu n'es plus obligée?|"
        r"oublie (?:le|la|les|l'|ce)|arrête(?:z)? (?:de|d')|cesse(?:z)? (?:de|d')|inutile de|ne \w+ plus|"
        r"plus (?:de|d')|ce n'est plus la peine)",
    ),
    negated=(
        r"\b(?:pas|jamais|sans|aucune?|évite\w*|arrête\w*|plus (?:de|d'|jamais)|épargne\w*|cesse\w*|n'\w+|"
        r"ne)\b",
    ),
    joint=(
        r",?\s+(?:c'est pourquoi|du coup|par conséquent)\s+",
        r",?\s+(?:et|donc|alors|mais|puis)\s+",
        r"\s*[;–—]\s*",
        r"\s-\s",
    ),
    said=(r"\bjusqu'à ce que je (?:te |vous )?(?:dise|dises|demande|écrive|crie)(?: de| d')?\s*(?P<x>[^,.;!?\n]+)",),
    slots={
        "address": (
            r"\bje m'appelle\b",
            r"\b(?:appel\w+)-moi\b|\bm'appel\w+\b|\bmon prénom\b|\bmon nom\b",
        ),
        "formality": (r"\b(?:tutoy\w*|tutoi\w*|vouvoy\w*|vouvoi\w*)\b",),
        "ending": (
            r"\b(?:termin\w+|fini[rs]\w*|conclu\w*|achèv\w+)\b[^.!?\n]{0,40}\b(?:par|avec)\b|\bà la fin\b|"
            r"\bquestions? (?:à la fin|de relance)\b|\bfini(?:r|s) par\b",
        ),
        "opening": (r"\b(?:commenc\w+|début\w*|ouvr\w+)\b[^.!?\n]{0,40}\b(?:par|avec)\b|\bau début\b",),
        "words": (r"\b(?:le mot|les mots|l'expression|le terme|la formule)\b",),
        "format": (
            r"\b(?:listes?|puces|tableaux?|json|xml|yaml|csv|markdown|texte brut|gras|italique|titres|paragraphes|"
            r"numérotée?s?|en toutes lettres)\b",
        ),
        "code": (r"\b(?:code|javascript|python|java|exemples de code)\b",),
        "language": (
            r"\b(?:en|que|l'|le|au) ?(?:anglais|français|allemand|espagnol|italien|portugais|néerlandais|polonais|"
            r"russe|turc|latin|norvégien|suédois|arabe|chinois|japonais)\b|\borthographe\b",
        ),
        "units": (
            r"\b(?:métriques?|unités?|kilom\w+|miles|celsius|fahrenheit|(?:sur|format) 24 ?h(?:eures)?|euros?|"
            r"francs?|dollars?|"
            r"devise|heures sur|fuseau|distances)\b",
        ),
        "case": (r"\b(?:minuscules?|majuscules?|capitales)\b",),
        "emoji": (r"\b(?:[ée]mojis?|émoticônes?|smileys?)\b",),
        "punctuation": (
            r"\b(?:virgules?|points? d'exclamation|points? d'interrogation|points?-virgules?|tirets?|ponctuation|"
            r"parenthèses|guillemets)\b",
        ),
        "length": (
            r"\b(?:brefs?|brève?s?|courte?s?|longue?s?|concise?s?|détaillée?s?|un mot|longs discours|"
            r"oui ou non)\b|\b(?:\d+|une?|deux|trois|quatre|cinq|six|dix|vingt|trente|cinquante|cent) (?:mots?|"
            r"phrases?|lignes?|caractères?|paragraphes?)\b",
        ),
        "sources": (
            r"\bles liens\b",
            r"\b(?:sources?|références?|citations?|liens?)\b",
        ),
        "level": (r"\b(?:enfant|débutante?|expert|novice)\b",),
        "persona": (
            r"\ble rôle\b|\bcomporte-toi\b|\bagis comme\b|\bcomme si tu étais\b",
            r"\b(?:comme (?:un|une|si tu|si vous|ma|mon)|dans ton rôle|le rôle d|pirate)\b|\btu es (?!obligé|sûr|"
            r"trop|très)\w+",
        ),
        "tone": (
            r"\b(?:franc(?:he)?|honnête|riment?|rimes?|jure\w*|direct\w*|chaleureu\w+|doux|douce)\b",
            r"\b(?:ton|formelle?s?|familier|familière|poli\w*|amicale?|sarcas\w*|humour|drôle|sérieux|excus\w*|"
            r"langage (?:très )?simple|mots simples|universitaire|académique|registre|jargon|sans façons|argot)\b",
        ),
    },
    common=frozenset(
        [
            "le",
            "la",
            "les",
            "est",
            "et",
            "un",
            "une",
            "des",
            "je",
            "pas",
            "vous",
            "dans",
            "qui",
            "du",
            "que",
            "il",
            "nous",
            "pour",
            "avec",
            "tu",
            "me",
            "te",
            "moi",
            "à",
            "de",
            "en",
            "ne",
            "tes",
        ]
    ),
    stops=frozenset({"stop", "arrêter", "arrête", "assez", "suffit"}),
    polite=frozenset(
        [
            "s'il",
            "te",
            "plaît",
            "stp",
            "svp",
            "merci",
            "maintenant",
            "ok",
            "et",
            "bon",
            "je",
            "dis",
            "d'accord",
            "s",
            "il",
            "vous",
        ]
    ),
    numbers={
        "un": 1,
        "une": 1,
        "deux": 2,
        "trois": 3,
        "quatre": 4,
        "cinq": 5,
        "six": 6,
        "sept": 7,
        "huit": 8,
        "neuf": 9,
        "dix": 10,
        "quelques": 3,
    },
    weekdays=("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    months=(
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ),
    tomorrow=r"\bdemain\b",
    units={
        "minute": "minutes",
        "heure": "hours",
        "jour": "days",
        "semaine": "weeks",
        "mois": "months",
        "moi": "months",
    },
)
