"""Spanish."""

from penchant.conversation.instructions.languages.table import Table

_ANSWER = r"(?:respuestas?|mensajes?|contestaci(?:ón|ones))"
_VERB = (
    r"(?:respond(?:e|a|er|as|eme)|respóndeme|contest(?:a|e|ar|es)|contéstame|escrib(?:e|a|ir|as|eme)|"
    r"escríbeme|habl(?:a|e|ar|es|emos)|háblame|us(?:a|e|ar|es)|utilic(?:e|es)|utiliz(?:a|ar)|"
    r"evit(?:a|e|ar|es)|termin(?:a|e|ar|es)|acab(?:a|e|ar|es)|conclu(?:ye|ya|ir)|empie(?:za|ce|ces)|"
    r"empec(?:es|emos)|empezar|comienc(?:e|es)|comienza|d(?:a|é|ar|es)|dame|dime|di|digas|pon(?:ga|er|gas|"
    r"me)?|limít\w+|mant(?:én|enga)|"
    r"sé|sea|seas|ser|explic(?:a|ar)|expliqu(?:e|es)|explícame|llám(?:a|e)me|llam(?:es|ar)|trát(?:a|e)me|"
    r"tutéame|haz|hagas|hacer|cit(?:a|e|ar)|añad(?:e|a|ir)|agreg\w+|ahórrame|sigue|siga|pases|menciones|"
    r"coment(?:a|e|ar)|"
    r"traduc\w*|compórtate|actúa|quédate|indic\w+|muestra|vuelvas|ten|tengas|hazlo|firma|preguntes|"
    r"redacta|recuerda|pienses)"
)

SPANISH = Table(
    durable=(
        r"\b(?:acostúmbrate|coge la costumbre|toma la costumbre|para tod[ao]s (?:las|los) (?:próxim|futur)\w*|"
        r"en los próximos)\b",
        r"\b(?:a partir de (?:ahora|hoy|este momento)|de ahora en adelante|de hoy en adelante|desde (?:ahora|"
        r"hoy|ya)|en adelante|en (?:el|lo) (?:futuro|sucesivo)|en todas nuestras (?:conversaciones|charlas)|"
        r"para siempre|de aquí en adelante)\b",
    ),
    always=(
        r"\b(?:en ningún momento|bajo ningún concepto|en ningún caso|en todo momento|en general|"
        r"todo el tiempo|todo el rato)\b",
        r"\b(?:siempre|nunca|jamás|sistemáticamente|recuerda|ten en cuenta|no olvides|acuérdate|por defecto|"
        r"sin excepción|permanentemente)\b",
    ),
    each=(
        r"\b(?:da igual|no importa|sea cual sea|en cada (?:respuesta|mensaje)|independientemente de)\b",
        rf"\b(?:cada {_ANSWER}|cada una de (?:tus|sus) {_ANSWER}|tod[ao]s (?:tus|sus|las|los) {_ANSWER}|"
        rf"en (?:tus|sus|los|las)(?: próxim[ao]s)? {_ANSWER}|por {_ANSWER}|(?:tus|"
        rf"sus)(?: próxim[ao]s)? {_ANSWER}|"
        r"cada vez que me \w+|todas las veces|te pregunte lo que te pregunte|pregunte lo que pregunte|"
        r"cuando me (?:escribas|respondas|contestes|hables)|todo lo que me (?:escribas|digas)|conmigo)\b",
    ),
    here=(
        r"\b(?:(?:durante|en|para) (?:toda (?:la|esta|nuestra) |esta |la )?(?:sesión|clase|lección|partida|"
        r"entrevista))\b",
        r"\b(?:en (?:este|el) (?:chat|diálogo|hilo)|en esta (?:conversación|charla|sesión)|(?:para|"
        r"durante) (?:esta|toda la|toda esta|toda nuestra|la) (?:sesión|conversación|charla)|"
        r"en toda nuestra (?:charla|conversación)|durante (?:todo )?(?:este|el) chat|por ahora|de momento|"
        r"por el momento|hoy|aquí|salvo que diga otra cosa|a menos que diga)\b",
    ),
    rules=(
        r"\b(?:reglas (?:para|de) (?:esta|este|ti|la)|(?:dos|tres|unas|algunas|\d) (?:cosas|reglas|"
        r"condiciones) antes)\b",
    ),
    until=(
        r"\bhasta (?!ahora|luego|pronto|entonces|nunca|siempre|aquí)[^,.;:!?\n]+?(?=\s*(?:[,.;:!?\n]|"
        r"\b(?:háblame|llámame|responde|contesta|escribe|quiero|usa|vale|ok)\b|$))",
        r"\bmientras (?:no |yo |sigamos |estemos |trabajemos |hablemos )[^,.;:!?\n]*",
    ),
    counted=(
        rf"\b(?:en|para|durante|por) (?:las|los|tus|mis) (?:próxim[ao]s (?P<n>\d+|\w+)|(?P<m>\d+|"
        rf"\w+) próxim[ao]s) (?:{_ANSWER}|preguntas)\b",
    ),
    spanned=(
        r"\b(?:durante|por|en) (?:las |los )?(?:próxim[ao]s )?(?P<n>\d+|\w+) (?P<unit>minutos?|horas?|días?|"
        r"semanas?|mes(?:es)?)\b",
    ),
    when=(
        r"\b(?:cuando|siempre que|cada vez que|si) te (?:mande|envíe|pregunte|pida|pase|dé|escriba|diga|"
        r"muestre|haga)\b",
    ),
    verb=(
        rf"(?:^|[,;:\n¿¡]\s*|\b(?:y|así que|pero|entonces|ah|por favor|siempre|nunca|jamás|no|ya no|ahora|"
        rf"adelante|hoy|código|palabra|pero|me|te|que|conmigo|mejor|anzi|solo)\s+|(?:^|"
        rf"\n)\s*[-*•\d.)]+\s*){_VERB}\b",
        r"\b(?:debes|tienes que|debe|tiene que|puedes|puede|vas a|eres|vamos a|deja de|deje de)\b",
        r"\b(?:podrías|puedes|podría)\b",
        r"\b(?:quiero|quisiera|me gustaría|prefiero|preferiría|necesito|espero) que (?:no )?(?:me )?\w+",
        r"\b(?:respuestas?|ejemplos|precios|números|código) (?:\w+ ){0,2}(?:debe[n]?|tiene[n]? que)\b",
    ),
    act=(
        r"\b(?:debe|deben|debería|deberían|tiene que|tienen que|puede|pueden|ha de|han de)\b",
        r"(?:^|[,:;¿]\s*)(?:hablemos|usemos|quedamos en que|quedemos|sigamos|contamos en|acordemos|"
        r"que tod[ao]s tus|que cada)\b",
        r"^\W*(?:ahórrate\w*|ahórratel[ao]|déjal[ao]|deja|haz|actúa|juega|procura|prefiere|elige|sigue|revisa|"
        r"quita|elimina|ignora|adopta|trata|cuenta|presenta|piensa|imagina|pon|sé|acostúmbrate|toma|omite|"
        r"prescinde|utiliza|intenta|cuida|mantén)\b",
        r",\s*(?:haz|ahórra\w+|pon|sé|deja|actúa|utiliza)\b|(?:nunca|siempre|jamás) \w+(?:s|es|as)\b",
    ),
    wish=(
        r"\b(?:no )?(?:quiero|quisiera|prefiero|odio|detesto|me gusta(?:n|ría)?|me encanta|necesito|"
        r"preferiría)\b",
    ),
    please=(r"\b(?:por favor|porfa|gracias|si es tan amable)\b",),
    alone=(
        r"\bquedamos en que\b",
        r"\bme llamo [^.!?]+\b(?:pero|así que)\b",
        r"\b(?:quiero que |que )?(?:actúes|actúa|actúe) como\b|\bhaz(?:te)? de\b|\b(?:asume|adopta|interpreta|"
        r"haz) el papel\b|\bcompórtate como\b",
        r"\b(?:llám[ae]me)\b|\bno me llam\w+\b|\btrát[ae]me de\b|\btutéame\b|\b(?:puedes|puede|"
        r"podemos) tutear\w*\b|\bpero dime \w+",
    ),
    habit=(
        r"\bdej[ae] de (?!hacer eso)\w+|^(?:y |por favor,? )*(?:no más|basta de|se acabaron l[ao]s) \w+|"
        r"\bya no \w+|\bno (?:me )?(?:vuelvas|\w+) (?:a \w+ )?(?:nunca )?más\b|\bno vuelvas a\b",
        r"\bno me \w+ más\b",
    ),
    opinion=(
        r"\b(?:veo|noto|he notado) que\b|\bsiempre añades\b",
        r"\b(?:odio|detesto|no me gusta\w*|me encanta\w*|no soporto|prefiero)\b",
    ),
    request=(
        r"\b(?:ok|okay|vale|de acuerdo|sí)\s*\?|\bquedamos en\b",
        r"\b(?:podrías|podría|puedes|puede|quieres)\b|\bpor favor\b",
    ),
    once=(
        r"\b(?:esta pregunta|esta vez|este (?:texto|correo|párrafo|mensaje)|esta (?:frase|respuesta|carta)|"
        r"solo el número|otra vez,|que tengo prisa|por una vez|el texto)\b",
    ),
    artefact=(
        r"\b(?:escrib(?:e|a)|redact(?:a|e)|compon|inventa|crea|haz(?:me)?|imagina|genera|prepara)\s(?:una? |"
        r"unas |unos |tres |dos |\d+ )(?!(?:listas?|respuestas?|tablas?)\b)\w+",
        r"^(?:ahora |por favor,? |puedes |¿puedes )*(?:reescrib\w+|traduc\w+|corrige\w*|resum\w+|reformul\w+|"
        r"cuéntame|configura|dile a|diles a|enseña a|dame (?:una? |tres |dos |\d+ ))",
        r"\ben (?:mi|una?|el|la) (?:novela|cuento|libro|juego|película|obra|historia|guion)\b|\bel anuncio\b|"
        r"\bque vas a (?:redactar|escribir)\b|\bdile a\b|\bpedir (?:a|al)\b|\bcómo (?:les|le) (?:pido|digo)\b",
    ),
    reported=(
        r"\b(?:decía|según|me parece ridículo|nunca se)\b",
        r"\b(?:él|ella|ellos|ellas|quien|que|(?:mi|mis|el|la|los|las|un|una|nuestro) \w+) (?:siempre |nos |"
        r"me |le |ha |había )*(?:dice[n]?|dijo|pide[n]?|pidió|quiere[n]?|quería|exige|ordena|ordenó|escribió|"
        r"insiste|repite|decía|llaman|llama|tutea)\b|^quiere que\b|\bla regla es\b|\bque hay que\b|"
        r"\ben mi casa\b",
    ),
    subject=(
        r"^(?:veo|noto|he notado)\b|\b(?:siempre|nunca) \w+mos\b|\b\w+mos siempre\b",
        r"^(?:y |pero |a partir de \w+,? |hasta (?:el )?\w+,? |de ahora en adelante,? |desde \w+,? |hoy,? |"
        r"siempre |nunca )*(?:yo |nosotros |mi (?!nombre)\w+ |mis \w+ |su \w+ |me (?:pongo|voy|levanto|quedo)|"
        r"desayuno|recibí|estoy|vivo|voy|tengo|soy|llevo|tomo|es (?!mejor|tan))",
        r"\b(?:a partir de \w+|hasta (?:el )?\w+|de ahora en adelante),? (?:estoy|vivo|voy|me pongo|tengo|soy|"
        r"trabajo)\b",
    ),
    unless=(r"\bsi te lo pidiera\b|\bhay que\b|^¿?(?:por qué|qué|cuándo|cómo|quién|cuál)\b[^:]*\?",),
    finite=(
        r"\b(?:era|eran|es|son|está|están|fue|fueron|había|ha|han|dijo|parece|funciona|contiene|pasa|estuvo|tuvo)\b",
    ),
    all_over=(
        r"\b(?:olvida|olvide|ignora|ignore|cancela|borra|elimina)\b[^.!?\n]{0,15}\b(?:tod[ao]s?|mis|tus|"
        r"las)\b[^.!?\n]{0,25}\b(?:instrucciones|reglas|indicaciones|dicho|peticiones)\b",
    ),
    over=(
        r"^(?:ok|vale|bueno|bien|y|gracias|ahora|ya|,|\.|\s|¡)*(?:deja (?:de hacer eso|eso|ya eso)|para (?:ya|"
        r"con eso)|olvida (?:eso|lo)|olvídalo|basta de eso|vuelve a lo normal|(?:habla|escribe|"
        r"responde) (?:otra vez |de nuevo )?normal(?:mente)?(?: otra vez| de nuevo)?|como antes|"
        r"puedes (?:parar|dejarlo)(?: ya)?|ya puedes (?:parar|dejarlo)|vuelve a la normalidad|no lo hagas más)"
        r"(?:\s*(?:por favor|gracias|ya|ahora|,))*\s*[.!]*$",
    ),
    release=(
        r"\b(?:(?:ya )?(?:puedes|puede) (?:ya )?(?:dejar|parar|olvidar)|(?:ya )?no (?:hace falta|es necesario|"
        r"necesitas|tienes que|debes)|olvida (?:lo|el|la|los|las)|dej[ae] de|ya no|no (?:me )?\w+ más|"
        r"basta de|no más)\b",
    ),
    negated=(r"\b(?:no|nunca|jamás|sin|evit\w*|dej[ae]|ahórrame|basta|ningún|ninguna|tampoco)\b",),
    joint=(
        r",?\s+(?:por eso|por lo que|de modo que|por tanto)\s+",
        r",?\s+(?:y|así que|pero|entonces)\s+",
        r"\s*[;–—]\s*",
        r"\s-\s",
    ),
    said=(r"\bhasta que (?:yo )?(?:te )?(?:diga|pida|escriba|grite)(?: que)?\s+(?P<x>[^,.;!?\n]+)",),
    slots={
        "address": (
            r"\bme llamo\b",
            r"\bllám[ae]me\b|\bme llam\w+\b|\bpero dime\b|\bmi nombre\b|\bllamarme\b",
        ),
        "formality": (r"\b(?:tutear\w*|tutéame|tutees|de usted|de tú|tuteo)\b",),
        "ending": (
            r"\b(?:termin\w+|acab\w+|conclu\w+|cierra\w*|finaliz\w+)\b[^.!?\n]{0,40}\b(?:con|por|en)\b|\bal final\b",
        ),
        "opening": (
            r"\b(?:empie\w+|empez\w+|empec\w+|comien\w+|comenz\w+|inici\w+)\b[^.!?\n]{0,40}\b(?:con|por)\b|"
            r"\bal (?:principio|comienzo)\b",
        ),
        "words": (r"\b(?:la palabra|las palabras|la expresión|el término|la frase)\b",),
        "format": (
            r"\b(?:listas?|viñetas|tablas?|json|xml|yaml|csv|markdown|texto plano|negritas?|cursivas?|títulos|"
            r"párrafos|numerad[ao]s?|con letras)\b",
        ),
        "code": (r"\b(?:código|python|java|javascript|ejemplos en)\b",),
        "language": (
            r"\b(?:en|al|solo|el) (?:inglés|español|castellano|francés|alemán|italiano|portugués|catalán|"
            r"neerlandés|polaco|ruso|turco|latín|noruego|sueco|árabe|chino|japonés)\b|\bortografía\b",
        ),
        "units": (
            r"\b(?:métric[ao]s?|unidades?|kilómetros?|millas|celsius|fahrenheit|formato (?:de )?24 ?h(?:oras)?|"
            r"euros?|pesos|"
            r"dólares|moneda|zona horaria|distancias)\b",
        ),
        "case": (r"\b(?:minúsculas?|mayúsculas?)\b",),
        "emoji": (r"\b(?:emojis?|emoticon\w*|caritas)\b",),
        "punctuation": (
            r"\b(?:comas?|signos? de (?:exclamación|interrogación)|puntos? y comas?|guiones|puntuación|paréntesis|"
            r"comillas|exclamaciones)\b",
        ),
        "length": (
            r"\b(?:breves?|cort[ao]s?|larg[ao]s?|concis[ao]s?|detallad[ao]s?|una palabra|sí o no)\b|\b(?:\d+|una?|"
            r"dos|tres|cuatro|cinco|seis|diez|veinte|treinta|cincuenta|cien) (?:palabras?|frases?|líneas?|"
            r"caracteres|oraciones|párrafos)\b",
        ),
        "sources": (
            r"\blos enlaces\b",
            r"\b(?:fuentes?|referencias?|citas?|enlaces?)\b",
        ),
        "level": (r"\b(?:como si tuviera|principiante|experto|como a un niño|novato)\b",),
        "persona": (
            r"\b(?:actú\w+|compórtate) como\b|\bel papel\b|\bcomo si fueras\b",
            r"\b(?:como (?:un|una|si fueras|mi)|en tu papel|el papel de|pirata)\b|\beres (?!tan|muy|libre|capaz)\w+",
        ),
        "tone": (
            r"\b(?:sincer[ao]|franc[ao]|honest[ao]|rim[ae]\w*|palabrotas|direct[ao]|cálid[ao]|suave)\b",
            r"\b(?:tono|formal(?:es|mente)?|informal\w*|coloquial\w*|educad\w*|amable[s]?|sarcas\w*|sarcás\w*|"
            r"humor|gracios\w*|seri[ao]|disculp\w*|palabras (?:muy )?sencillas|lenguaje sencillo|académico|"
            r"registro|jerga|con confianza)\b",
        ),
    },
    common=frozenset(
        [
            "el",
            "la",
            "los",
            "las",
            "y",
            "un",
            "una",
            "por",
            "con",
            "para",
            "pero",
            "del",
            "que",
            "yo",
            "es",
            "está",
            "tu",
            "me",
            "te",
            "de",
            "en",
            "no",
            "a",
            "lo",
            "mi",
        ]
    ),
    stops=frozenset({"stop", "basta", "para", "pares", "alto", "suficiente", "ya"}),
    polite=frozenset(["por", "favor", "porfa", "gracias", "ahora", "ya", "vale", "ok", "y", "bueno", "digo"]),
    numbers={
        "un": 1,
        "una": 1,
        "dos": 2,
        "tres": 3,
        "cuatro": 4,
        "cinco": 5,
        "seis": 6,
        "siete": 7,
        "ocho": 8,
        "nueve": 9,
        "diez": 10,
    },
    weekdays=("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
    months=(
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ),
    tomorrow=r"\bhasta mañana\b",
    units={"minuto": "minutes", "hora": "hours", "día": "days", "semana": "weeks", "mes": "months", "mese": "months"},
)
