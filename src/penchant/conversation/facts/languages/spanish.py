"""Spanish."""

from penchant.conversation.facts.language import VALUE, Language, Topic, one_of, roles, words

_PERSONS = roles(
    "dentist: dentista; doctor: médico médica doctor doctora; boss: jefe jefa; therapist: terapeuta psicólogo psicóloga; "
    "lawyer: abogado abogada; hairdresser: peluquero peluquera; landlord: casero casera; vet: veterinario veterinaria; "
    "accountant: contable contador contadora; partner: mujer marido esposa esposo novia novio pareja prometida prometido; "
    "coach: entrenador entrenadora; bank: banco; insurer: aseguradora"
)
_PETS = roles("dog: perro perra; cat: gato gata; horse: caballo; parrot: loro; rabbit: conejo; hamster: hámster")
_PERSON, _PET = one_of(_PERSONS), one_of(_PETS)
_TITLE = r"(?:(?:el |la )?(?:doctora?|dr|dra|señora?|sr|sra|profesora?)\.? +)?"
_JOBS = (
    "enfermero enfermera médico médica profesor profesora maestro maestra ingeniero ingeniera programador programadora "
    "desarrollador desarrolladora panadero panadera carpintero carpintera electricista fontanero abogado abogada "
    "estudiante contable arquitecto arquitecta periodista escritor escritora cocinero cocinera conductor conductora "
    "bombero bombera farmacéutico farmacéutica físico física investigador investigadora bibliotecario bibliotecaria "
    "agricultor agricultora jardinero jardinera peluquero peluquera mecánico mecánica piloto fotógrafo fotógrafa músico "
    "música actor actriz artista pintor pintora traductor traductora camarero camarera partera veterinario veterinaria "
    "vendedor vendedora psicólogo psicóloga jubilado jubilada cartero cartera policía dentista secretario secretaria"
)
_VERB = (
    "vivo|trabajo|estudio|enseño|conduzco|manejo|juego|corro|cocino|pinto|tejo|canto|bailo|nado|escalo|colecciono|llevo|"
    "fumo|bebo|como|hablo|tomo|odio|detesto|prefiero|adoro|amo|soporto|viajo|aprendo|salgo|toco|leo|practico|sufro|"
    "alquilo|entreno|temo|me caso|me mudo|nací|crecí|me mudé|me casé|me divorcié|vendí|compré|adopté|dejé|cambié|empecé|"
    "perdí|gané|reservé|aprendí|visité|celebré|heredé|fundé|construí|viví|trabajé|estudié|conocí|terminé|cumplí|me rompí|"
    "me jubilé|fui a|viajé|vuelo|me llamo|vivimos|trabajamos|viajamos|adoptamos|compramos|nos casamos|nos mudamos|"
    "soñé|pienso mudarme|monto|cultivo|ahorro|decidí|abrí|publiqué|planté"
)

SPANISH = Language(
    code="es",
    stemmer="spanish",
    hints=words("no vivía trabajaba jugaba iba pasaba esperamos")
    | words(_VERB.replace("|", " "))
    | words(
        "mi mis nuestro nuestra nuestros nuestras me nos he hemos tengo tenemos tenía soy somos era estoy estamos llámame"
    ),
    says=(
        r"\b(?:me|nos) (?:sienta|sientan|aburre|aburren|interesa|interesan|molesta|molestan|relaja|pone nervios\w|contrató|da asco|dan asco|hace (?:daño|feliz))\b",
        r"\bno sé (?:nadar|conducir|cocinar|leer|esquiar|bailar|cantar|tocar|montar)\b|(?<!\w)(?:vivía|trabajaba|jugaba|iba|pasaba|esperamos nuestr[oa])\b",
        rf"(?<![\w'])(?:{_VERB})\b(?! (?:con esto|a ver)\b)",
        r"(?<!\w)(?:he|hemos) (?:adoptado|comprado|vendido|cambiado|empezado|dejado|perdido|ganado|reservado|aprendido|vivido|"
        r"trabajado|estudiado|viajado|estado en|tenido|conocido|heredado|decidido|visitado)\b",
        r"\b(?:tengo|tenemos|tenía|teníamos) (?:un|una|dos|tres|cuatro|cinco|\d+|miedo|varios|varias|hijos|diabetes|asma|"
        r"gemelos|vértigo|alergia|cita|pánico)\b",
        r"(?<!\w)(?:soy|somos|era) (?:\w+ )?(?:alérgic\w+|vegetarian\w+|vegan\w+|casad\w+|divorciad\w+|solter\w+|viud\w+|"
        r"jubilad\w+|zurd\w+|daltónic\w+|sord\w+|cieg\w+|musulm\w+|cristian\w+|judí\w+|católic\w+|budista|ate\w+|de|un|una|"
        r"el|la|diabétic\w+|celíac\w+|intolerante|autónom\w+|madre|padre|aficionad\w+|fan|miembro|español\w*|mexican\w+|"
        r"argentin\w+)\b",
        r"\b(?:estoy|estamos) (?:\w+ )?(?:casad\w+|divorciad\w+|embarazada|jubilad\w+|soltero|aprendiendo|estudiando|"
        r"planeando|ahorrando|prometid\w+|en paro|viviendo|trabajando (?:en|para|como)|entrenando|escribiendo un|separad\w+)\b",
        r"\b(?:me|nos) (?:encanta|encantan|gusta|gustan|fascina|fascinan|apasiona|apasionan|da miedo|dan miedo)\b",
    ),
    mine=(
        r"(?<!\w)(?:mi|mis|nuestro|nuestra|nuestros|nuestras) (?:(?:nuevo|nueva|mejor|primer|primera|antiguo|antigua|querido|querida) )*"
        r"([^\W\d_]+)(?: (?:favorit[oa]|mayor|menor|pequeñ[oa]|[^\W\d_]+))?? (?:es|son|era|está|están|tiene|tienen|tenía|se llama|"
        r"se llaman|vive|viven|trabaja|ama|odia|juega|toca|estudia|viene|sale|va|sufre|habla|murió|nació|cumple|empieza)\b",
    ),
    never=(
        r"(?<!\w)(?:creo|pienso|supongo|entiendo|veo|(?<!no )sé|espero|imagino|quiero|quisiera|necesito|busco|deseo|me refiero|me pregunto|"
        r"ya veo)\b",
        r"\b(?:me gustaría|me encantaría|me parece|me temo|quería pedir)\b",
        r"\btengo (?:otra |solo )?(?:una |un |algunas |dos |otra )(?:\w+ )?(?:pregunta|duda|problema|idea|error|petición|texto|archivo|lista|tabla|tarea)s?\b",
        r"\bme (?:encanta|gusta)(?: (?:mucho|más|esto|eso|tu|la idea|cómo))?(?:$|[,.!]| (?:tu|esto|eso|la idea|cómo)\b)",
        r"\b(?:estoy|soy) (?:muy |bastante |un poco )?(?:bien|segur\w+|list\w+|de acuerdo|perdid\w+|confundid\w+|content\w+ (?:de|con)|"
        r"curios\w+|agradecid\w+|aquí|intentando|tratando|buscando|hablando)\b",
        r"\ben mente\b|\bno (?:entiendo|sé(?! (?:nadar|conducir|cocinar|leer|esquiar|bailar|cantar|tocar|montar))|veo|comprendo|encuentro|estoy segur\w)",
        r"(?<!\w)(?:tu|su|la primera|la segunda|la última|esta|esa) (?:respuesta|solución|sugerencia|propuesta|explicación|versión|idea)\b",
        r"(?<!\w)mi (?:\w+ )?(?:programa|código|script|pregunta|problema|texto|redacción|mensaje|función|error|opinión|duda)\b",
        r"\b(?:probé|envié|pegué|instalé|subí|adjunté|copié|intenté|he (?:probado|enviado|pegado|intentado))\b",
        r"\bvoy a (?:probar|pegar|enviar|intentar)\b|\bhablo (?:del?|en serio|sobre)\b|\btomo nota\b",
    ),
    before=(
        r"\b(?:si (?:yo )?(?:fuera|tuviera|pudiera|viviera|estuviera|soy|tengo|vivo|como)|supongamos|supón|imagina\w*|como si|"
        r"ojalá|dijo|dice|dicen|decía|escribió|escribe|preguntó|pregunta|cree que|piensa que|afirma|ella|él|ellos|usted)\b"
    ),
    opens=(
        r"(?:pon|ponlo|ponga|pásalo|por favor|puedes|podrías|puede|escribe|escriba|traduce|traduzca|da|dame|haz|explica\w*|describe|propón|resume|"
        r"corrige|imagina\w*|supón|cómo|qué|dónde|cuándo|por qué|quién|cuál\w*|ayúda\w*|muestra|muéstra\w*|di|dime|compara|"
        r"responde|continúa|calcula|mejora|reformula|recomiénda\w*|sugiere\w*|crea|genera)\b"
    ),
    material=(
        r"\b(?:traduce|traducir|traduzca|corrige|corregir|mejora|resume|resumir|reformula|analiza|siguientes?|texto|carta|"
        r"párrafo)\b[^.?!\n:]{0,60}:"
    ),
    topics=(
        Topic("employer", rf"\bme (?:contrató|ha contratado) {VALUE}"),
        Topic("residence", rf"\balquilo (?:un|una) \w+ en {VALUE}", proper=True),
        Topic("name", rf"\b(?:me llamo|mi (?:nuevo )?nombre es|llámame)(?: ahora)? {VALUE}", proper=True),
        Topic("age", r"\b(?:tengo|he cumplido|cumplí)(?: ya| ahora)? (?P<value>\d{1,3}) años\b"),
        Topic("birthplace", rf"\bnací en {VALUE}", proper=True),
        Topic("residence", rf"\bya no vivo en {VALUE}|\bno vivo más en (?P<elsewhere>\w+)", proper=True, ended=True),
        Topic(
            "residence",
            rf"(?<!no )\b(?:vivo|me mudé|me he mudado|me mudo|nos mudamos|estoy viviendo)(?: ahora| desde \w+)? (?:en|a) {VALUE}",
            proper=True,
        ),
        Topic(
            "phone",
            r"\bmi (?:nuevo )?(?:número|teléfono)(?: de teléfono)? es(?: ahora| el)* (?P<value>\+?[\d][\d ./()-]{3,20})",
        ),
        Topic("email", r"\bmi (?:nuevo )?(?:correo|e-?mail)(?: electrónico)? es (?P<value>\S{3,60})"),
        Topic("address", rf"\bmi (?:nueva )?dirección es(?: ahora)? {VALUE}"),
        Topic("employer", rf"\b(?:ya no trabajo|no trabajo más|dejé de trabajar) (?:en|para|con) {VALUE}", ended=True),
        Topic("employer", r"\b(?:perdí|dejé) mi (?:trabajo|empleo|puesto)\b", ended=True),
        Topic("employer", rf"\btrabajo(?: ahora)? (?:en|para) (?!casa\b|mí\b|vivir\b){VALUE}"),
        Topic("job", rf"\btrabajo(?: ahora)? (?:como|de) {VALUE}"),
        Topic("job", r"(?<!\w)soy(?: ahora| una?)* (?P<value>\w+)", among=words(_JOBS)),
        Topic("allergy", r"\bal[eé]rgi(?:c[oa]|a)s?\b"),
        Topic("diet", r"\bya no soy (?P<value>vegetarian[oa]|vegan[oa])\b", ended=True),
        Topic("diet", r"(?<!\w)soy(?: ahora)? (?P<value>vegetarian[oa]|vegan[oa])\b"),
        Topic("diet", r"\bno como (?:carne|pescado|cerdo)\b"),
        Topic(
            "car",
            r"\b(?:vendí|he vendido|hemos vendido|vendimos) (?:mi|el|nuestro) (?:viejo )?(?:coche|carro|auto)\b|\bya no tengo (?:coche|carro|auto)\b",
            ended=True,
        ),
        Topic("car", rf"\b(?:conduzco|manejo)(?: ahora)? (?:un|una) (?:viejo |nuevo )?{VALUE}", proper=True),
        Topic("car", rf"\bmi (?:nuevo )?(?:coche|carro|auto) es un {VALUE}", proper=True),
        Topic("{role}", rf"\bmi (?:nuevo |nueva )?{_PERSON} (?:se llama|es)(?: ahora)? {_TITLE}{VALUE}", proper=True),
        Topic(
            "{role}",
            rf"\b(?:cambié|he cambiado|pasado|pasé) (?:a|al) {_TITLE}(?P<value>\w+) como {_PERSON}\b",
            proper=True,
        ),
        Topic("{role} name", rf"\bmi {_PET} se llama {VALUE}", proper=True),
        Topic("favourite {role}", rf"\bmi (?P<role>\w+) favorit[oa] es(?: ahora)? {VALUE}"),
    ),
    roles={word.lower(): key for word, key in (_PERSONS | _PETS).items()},
    articles=words("el la los las un una mi al del"),
    cut=words(
        "y o pero porque desde con como en a al de del hasta ahora ya todavía donde que quien mientras cuando después antes "
        "este esta cerca es era no también por para"
    ),
    also=r"\b(?:también|además|a tiempo parcial|ambos)\b",
)
