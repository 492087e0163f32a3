"""Chat templates in the manner of the known families: written for these tests, with the habits that matter."""
# ruff: noqa: E501 (a template's line stays a line)

_LOOP = "{% for m in messages %}"
_END = "{% endfor %}"
_STRICT = (
    "{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
)
_SPLIT = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
)

TEMPLATES = {
    "chatml": _LOOP + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n" + _END + "{% if add_generation_prompt %}"
    "<|im_start|>assistant\n{% endif %}",
    "llama 3": "<|begin|>{% if messages[0].role == 'system' %}{% set said = messages[0].content | trim %}"
    "{% set messages = messages[1:] %}{% else %}{% set said = '' %}{% endif %}<|head|>system<|/head|>\n\n"
    "Knowledge until 2023\n\n{{ said }}<|eot|>" + _LOOP + "<|head|>{{ m.role }}<|/head|>\n\n{{ m.content | trim }}<|eot|>"
    + _END + "{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}",
    "llama 2": _SPLIT + _STRICT + "{% if m.role == 'user' %}[INST] {% if loop.first and system %}<<SYS>>\n{{ system }}\n"
    "<</SYS>>\n\n{% endif %}{{ m.content | trim }} [/INST]{% else %} {{ m.content }} </s>{% endif %}" + _END,
    "mistral 1": _STRICT.replace("rest", "messages") + "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %}{{ m.content }}</s>{% else %}{{ raise_exception('user and assistant only') }}"
    "{% endif %}" + _END,
    "mistral 3": _SPLIT + _STRICT + "{% if m.role == 'user' %}[INST] {% if loop.last and system %}{{ system }}\n\n"
    "{% endif %}{{ m.content }}[/INST]{% else %} {{ m.content | trim }}</s>{% endif %}" + _END,
    "gemma": "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + _STRICT.replace("rest", "messages") + "<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}</turn>\n" + _END + "{% if add_generation_prompt %}<turn>model\n{% endif %}",
    "gemma 3": "{% if messages[0].role == 'system' %}{% if messages[0].content is string %}"
    "{% set first = messages[0].content + '\n\n' %}{% else %}{% set first = messages[0].content[0].text + '\n\n' %}"
    "{% endif %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}" + _STRICT
    + "<turn>{{ m.role }}\n{{ first if loop.first }}{% if m.content is string %}{{ m.content | trim }}"
    "{% elif m.content is iterable %}{% for p in m.content %}{{ p.text | trim if p.type == 'text' }}{% endfor %}"
    "{% endif %}</turn>\n" + _END,
    "qwen 2": "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + _LOOP
    + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n" + _END,
    "qwen 3": _LOOP + "{% set c = m.content %}{% if m.role == 'assistant' and '</think>' in c %}"
    "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}<|im_start|>{{ m.role }}\n{{ c }}<|im_end|>\n" + _END,
    "phi 3": _LOOP + "{% if m.role in ('system', 'user', 'assistant') %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endif %}"
    + _END,
    "phi 3, first release": _LOOP + "{% if m.role == 'user' %}<|user|>\n{{ m.content }}<|end|>\n<|assistant|>\n"
    "{% elif m.role == 'assistant' %}{{ m.content }}<|end|>\n{% endif %}" + _END,
    "deepseek": "{% set ns = namespace(s='') %}" + _LOOP + "{% if m.role == 'system' %}{% set ns.s = m.content %}{% endif %}"
    + _END + "<|bos|>{{ ns.s }}" + _LOOP + "{% if m.role == 'user' %}<|User|>{{ m.content }}{% elif m.role == 'assistant' %}"
    "<|Assistant|>{{ m.content.split('</think>')[-1] }}<|eos|>{% endif %}" + _END,
    "granite": "{% if messages[0].role == 'system' %}{% set s = messages[0].content %}{% set rest = messages[1:] %}"
    "{% else %}{% set s = 'Helpful.' %}{% set rest = messages %}{% endif %}<|role|>system<|/role|>{{ s }}<|eot|>\n"
    "{% for m in rest %}<|role|>{{ m.role }}<|/role|>{{ m.content }}<|eot|>\n{% endfor %}",
    "gpt-oss": "<|start|>system<|message|>Reasoning: medium<|end|>{% if messages[0].role == 'system' %}<|start|>developer"
    "<|message|># Instructions\n\n{{ messages[0].content }}<|end|>{% set messages = messages[1:] %}{% endif %}" + _LOOP
    + "{% if m.role == 'user' %}<|start|>user<|message|>{{ m.content }}<|end|>{% elif m.role == 'assistant' %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>{% endif %}" + _END,
    "zephyr": _LOOP + "<|{{ m['role'] }}|>\n{{ m['content'] + eos_token }}\n" + _END,
    "command r": _SPLIT + "<|turn|><|SYSTEM|>{{ system or 'Answer.' }}<|/turn|>" + _STRICT + "<|turn|>{{ m.role }}"
    "{{ m.content | trim }}<|/turn|>" + _END,
    "vicuna": _SPLIT + "{{ system }}{% for m in rest %}{{ ' USER: ' if m.role == 'user' else ' ASSISTANT: ' }}"
    "{{ m.content | trim }}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}",
    "smollm 3": _SPLIT + "<|im_start|>system\n{{ system | replace('/no_think', '') | trim }}<|im_end|>\n{% for m in rest %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
    "llava": _LOOP + "{{ m.role | upper }}: {% for p in m.content %}{% if p['type'] == 'image' %}<image>"
    "{% elif p['type'] == 'text' %}{{ p['text'] }}{% endif %}{% endfor %}\n" + _END,
    "parts, users and assistants only": _LOOP + "{% if m.role != 'system' %}{{ m.role }}: "
    "{% for p in m.content | selectattr('type', 'equalto', 'text') %}{{ p.text }}{% endfor %}\n{% endif %}" + _END,
}  # fmt: skip

FOLDED = ("mistral 1", "gemma", "phi 3, first release", "parts, users and assistants only")
"""Those without a place for a system message."""
