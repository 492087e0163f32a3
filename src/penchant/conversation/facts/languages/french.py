"""French."""

from penchant.conversation.facts.language import VALUE, Language, Topic, one_of, roles, words

_PERSONS = roles(
    "dentist: dentiste; doctor: médecin généraliste; boss: chef patron patronne; therapist: psy psychologue thérapeute; "
    "lawyer: avocat avocate; hairdresser: coiffeur coiffeuse; landlord: propriétaire; vet: vétérinaire; "
    "accountant: comptable; partner: femme mari épouse époux copine copain compagne compagnon conjoint fiancé fiancée; "
    "coach: entraîneur entraîneuse; bank: banque; insurer: assureur"
)
_PETS = roles("dog: chien chienne; cat: chat chatte; horse: cheval; parrot: perroquet; rabbit: lapin; hamster: hamster")
_PERSON, _PET = one_of(_PERSONS), one_of(_PETS)
_TITLE = r"(?:(?:le |la )?(?:docteure?|dr|mme|madame|monsieur|m|professeure?)\.? +)?"
_TITLED = _TITLE[:-1]
_JOBS = (
    "infirmier infirmière médecin professeur professeure enseignant enseignante ingénieur ingénieure développeur "
    "développeuse boulanger boulangère menuisier menuisière électricien électricienne plombier avocat avocate étudiant "
    "étudiante comptable architecte journaliste écrivain cuisinier cuisinière chauffeur pompier pharmacien pharmacienne "
    "physicien physicienne chercheur chercheuse bibliothécaire agriculteur agricultrice jardinier jardinière coiffeur "
    "coiffeuse mécanicien mécanicienne pilote photographe musicien musicienne acteur actrice artiste peintre traducteur "
    "traductrice serveur serveuse ambulancier sage-femme vétérinaire vendeur vendeuse psychologue retraité retraitée "
    "facteur factrice policier policière libraire dentiste secrétaire instituteur institutrice"
)
_VERB = (
    "habite|vis|travaille|étudie|enseigne|conduis|possède|joue|cours|cuisine|peins|tricote|chante|danse|nage|grimpe|"
    "randonne|collectionne|porte|fume|bois|mange|parle|prends|aime|adore|déteste|préfère|supporte|voyage|apprends|pars|"
    "déménage|vais|lis|fais|viens|suis né|suis née|souffre|loue|m'entraîne|me marie|m'appelle|me lève|me couche|fréquente|"
    "pratique|crains|épouse|élève|cultive|économise|collecte"
)
_DONE = (
    "déménagé|vendu|acheté|adopté|quitté|changé|commencé|arrêté|cassé|perdu|gagné|réservé|appris|visité|fêté|hérité|"
    "fondé|construit|loué|vécu|travaillé|étudié|épousé|grandi|rencontré|obtenu|terminé|eu|pris|voyagé|couru|habité|"
    "démissionné|divorcé|décidé|fait|planté|ouvert|publié|passé"
)

FRENCH = Language(
    code="fr",
    stemmer="french",
    hints=words("je j nous mon ma mes notre nos m me on"),
    says=(
        r"\b(?:je |j')(?!\w+rais\b|sais\b|vais\b|fais\b|connais\b|pensais\b|croyais\b|avais en tête)\w+ais\b",
        r"\bje ne sais (?:pas|plus) (?:nager|conduire|cuisiner|lire|skier|danser|chanter|jouer)\b",
        r"\b(?:m'ennuie|me rend|me rendent|m'intéresse|me passionne|me fatigue|me stresse|m'agace|m'a embauchée?|m'a engagée?|me fait (?:peur|mal|rire))\b|\bnous attendons\b",
        rf"\b(?:je |j'|nous )(?:n'|ne )?(?:{_VERB}|habitons|vivons|travaillons|aimons|partons|allons|adorons)\b",
        rf"\b(?:j'ai|je n'ai|nous avons|je l'ai) (?:\w+ )?(?:{_DONE})\b",
        r"\b(?:j'ai|nous avons|je n'ai|j'avais|nous avions) (?:\w+ )?(?:un|une|deux|trois|quatre|cinq|\d+|peur|pas de|pas d'|horreur|le vertige|"
        r"des (?:enfants|jumeaux|chats|chiens|jumelles)|plusieurs|du diabète|de l'asthme|mon|ma|grandi|rendez-vous)\b",
        r"\b(?:je suis|je ne suis|nous sommes|j'étais) (?:\w+ )?(?:allergique|végétarien\w*|végane?|vegan|marié\w*|divorcé\w*|célibataire\w*|"
        r"fiancé\w*|enceinte|retraité\w*|chômeu\w+|au chômage|indépendant\w*|gaucher|gauchère|daltonien\w*|sourd\w*|"
        r"aveugle|musulman\w*|chrétien\w*|juif|juive|catholique|bouddhiste|athée|né|née|originaire|de \w+|un|une|le|la|"
        r"diabétique|intolérant\w*|passionné\w*|fan|mère|père|à la retraite|français\w*|belge|suisse|canadien\w*|"
        r"parti\w*|allé\w*|arrivé\w*|installé\w*|devenu\w*|tombé\w*|membre)\b",
        r"\b(?:nous nous sommes|je me suis|on s'est) (?:marié|installé|inscrit|cassé|séparé|fiancé|mis|fait)\w*",
    ),
    mine=(
        r"\b(?:mon|ma|mes|notre|nos) (?:(?:nouveau|nouvelle|petit|petite|grand|grande|vieux|vieille|meilleur|meilleure|"
        r"ancien|ancienne|premier|première) )*([^\W\d_]+)(?:-[^\W\d_]+)*(?: [^\W\d_]+)?? (?:est|sont|était|a|ont|avait|s'appelle|s'appellent|vit|"
        r"vivent|habite|habitent|travaille|aime|adore|déteste|joue|étudie|vient|part|va|souffre|parle|commence|fête)\b",
    ),
    never=(
        r"\bje (?:pense|crois|vois|comprends|veux dire|suppose|sais|me demande|parle d|cherche|dois|peux|t'en|te |vous )",
        r"\b(?:je (?:voudrais|souhaite|souhaiterais|veux|désire)|j'(?:aimerais|espère|attends))\b",
        r"\bj'ai (?:besoin|l'impression|envie)\b",
        r"\bj'ai (?:juste |encore |aussi )?(?:une|un|deux|d'autres) (?:\w+ )?(?:question|demande|problème|idée|erreur|doute|texte|"
        r"fichier|tableau|liste|phrase|bug|souci)s?\b",
        r"\ben tête\b|\bje ne (?:comprends|sais(?! (?:pas|plus) (?:nager|conduire|cuisiner|lire|skier|danser|chanter|jouer))|vois|trouve|suis pas (?:sûre?|certaine?))\b",
        r"\bje suis (?:pas )?(?:sûre?|certaine?|prête?|d'accord|désolée?|perdue?|content\w* (?:que|de)|curieu\w+|là)\b",
        r"\bje vais (?:bien|mieux|très bien|essayer|te|vous|coller|envoyer)\b",
        r"\b(?:ta|votre|la première|la deuxième|la dernière|cette) (?:réponse|solution|suggestion|proposition|explication|version|idée)\b",
        r"\bj'(?:adore|aime)(?: (?:bien|beaucoup|ça|cela|l'idée|ton|ta|votre|ce que))? ?(?:$|[,.!]|ça|cela|l'idée|ton\b|ta\b|votre\b)",
        r"\b(?:mon|ma) (?:\w+ )?(?:programme|code|script|question|problème|texte|rédaction|demande|message|fonction|erreur|avis)\b",
        r"\bj'ai (?:déjà )?(?:essayé|envoyé|collé|installé|testé|téléchargé|joint|copié)\b",
        r"\bje (?:fais référence|prends (?:note|la))",
    ),
    before=(
        r"\b(?:si j|si je|si nous|supposons|suppose que|imagine\w*|comme si|admettons|dit|disent|a dit|disait|écrit|demande|"
        r"pense que|prétend|trouve que|affirme)\b"
    ),
    opens=(
        r"(?:mets|mettez|s'il te plaît|s'il vous plaît|peux-tu|pouvez-vous|pourrais-tu|écris|écrivez|traduis|traduisez|donne|donnez|"
        r"fais|faites|explique\w*|décris|propose\w*|résume\w*|corrige\w*|imagine\w*|suppose\w*|comment|que|quoi|où|quand|pourquoi|"
        r"qui|quel\w*|est-ce|dois-je|aide\w*|montre\w*|dis|dites|cite\w*|compare\w*|réponds|continue\w*|calcule\w*|"
        r"améliore\w*|reformule\w*)\b"
    ),
    material=(
        r"\b(?:traduis\w*|traduire|corrige\w*|améliore\w*|résume\w*|reformule\w*|analyse\w*|suivante?s?|texte|lettre|"
        r"paragraphe)\b[^.?!\n:]{0,60}:"
    ),
    topics=(
        Topic("employer", r"^(?P<value>[^,;:!?\n()]{1,40}?) m'a (?:embauchée?|engagée?)"),
        Topic("residence", rf"\bje loue (?:un|une) \w+ (?:à|en|au|aux) {VALUE}", proper=True),
        Topic(
            "name",
            rf"\b(?:je m'appelle|mon (?:nouveau )?(?:nom|prénom) est|appelle-moi|appelez-moi)(?: maintenant)? {VALUE}",
            proper=True,
        ),
        Topic("age", r"\bj'ai(?: maintenant| déjà)? (?P<value>\d{1,3}) ans\b"),
        Topic("birthplace", rf"\bje suis née? (?:à|en|au|aux) {VALUE}", proper=True),
        Topic("residence", rf"\b(?:je n'habite|je ne vis) plus (?:à|en|au|aux|dans) {VALUE}", proper=True, ended=True),
        Topic(
            "residence",
            r"\b(?:j'habite|je vis|j'ai déménagé|je déménage|je me suis installée?|nous avons déménagé)"
            rf"(?: maintenant| désormais| depuis \w+ \w+)* (?:à|en|au|aux) {VALUE}",
            proper=True,
        ),
        Topic(
            "phone",
            r"\bmon (?:nouveau )?numéro(?: de téléphone)? est(?: maintenant| le)* (?P<value>\+?[\d][\d ./()-]{3,20})",
        ),
        Topic("email", r"\bmon (?:nouvel )?(?:adresse )?(?:e-?mail|courriel) est (?P<value>\S{3,60})"),
        Topic("address", rf"\bma (?:nouvelle )?adresse est(?: maintenant)? {VALUE}"),
        Topic("employer", rf"\bje ne travaille plus (?:chez|pour|à) {VALUE}", ended=True),
        Topic("employer", r"\bj'ai (?:perdu|quitté) mon (?:emploi|travail|poste)\b|\bj'ai démissionné\b", ended=True),
        Topic("employer", rf"\bje travaille(?: maintenant| désormais)? (?:chez|pour) (?!moi\b|vivre\b){VALUE}"),
        Topic("job", rf"\bje travaille(?: maintenant)? comme {VALUE}"),
        Topic("job", r"\bje suis(?: maintenant| une?| devenue?)* (?P<value>[\w-]+)", among=words(_JOBS)),
        Topic("allergy", r"\ballergi(?:que|e)s?\b"),
        Topic("diet", r"\bje (?:suis|suis devenue?) (?:maintenant )?(?P<value>végétarien(?:ne)?|végane?|vegan)\b"),
        Topic("diet", r"\bje ne (?:suis plus) (?P<value>végétarien(?:ne)?|végane?|vegan)\b", ended=True),
        Topic("diet", r"\bje ne mange (?:pas|plus|jamais) (?:de viande|de poisson|de porc)\b"),
        Topic("car", r"\bj'ai vendu (?:ma|notre) (?:vieille )?voiture\b|\bje n'ai plus de voiture\b", ended=True),
        Topic(
            "car",
            rf"\bje conduis(?: maintenant)? (?:un|une) (?:(?:vieille|vieux|nouvelle|petite|petit) )*{VALUE}",
            proper=True,
        ),
        Topic("car", rf"\bma (?:nouvelle )?voiture est une {VALUE}", proper=True),
        Topic(
            "{role}",
            rf"\b(?:mon|ma) (?:nouveau |nouvelle )?{_PERSON} (?:s'appelle|est)(?: maintenant| désormais)? {_TITLE}{VALUE}",
            proper=True,
        ),
        Topic(
            "{role}",
            rf"\b(?:passée?|changé|allée?) (?:chez|pour|à|au) {_TITLE}(?P<value>\w+) comme {_PERSON}\b",
            proper=True,
        ),
        Topic("{role} name", rf"\b(?:mon|ma) {_PET} s'appelle {VALUE}", proper=True),
        Topic("favourite {role}", rf"\b(?:mon|ma) (?P<role>\w+) préférée? est(?: maintenant)? {VALUE}"),
    ),
    roles={word.lower(): key for word, key in (_PERSONS | _PETS).items()},
    articles=words("le la les un une l' mon ma au aux du"),
    cut=words(
        "et ou mais car donc parce depuis avec comme chez à en au sur pour de du jusqu'à maintenant désormais encore où qui "
        "que pendant quand après avant ce cette près est était pas aussi"
    ),
    also=r"\b(?:aussi|également|en plus|à temps partiel|les deux)\b",
)
