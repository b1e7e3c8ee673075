package simulated

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// orders are what texts tell a model to do.
type orders struct {
	benign, malicious bool
	adrift            bool   // told to leave the instructions, or to take others for them
	literal           string // the verdict in the words of the order
	closing           bool
	severity          string
	actions           []action
	techniques        []string
	reveal            bool
	say               []string
	forced            map[string]any
}

// words are those of orders. They are folded like the text, so accents do not matter.
type words struct {
	benignWords, maliciousWords, cues, closeWords, lowWords, revealWords, secretWords, emitWords, stopWords, overrideVerbs, overrideThings, takeovers []string
	techniqueWords, malice, innocence                                                                                                                 []string
	verbs                                                                                                                                             map[string]string
}

// lexicon is made when it is first needed: most programs never obey.
var lexicon = sync.OnceValue(func() *words {
	return &words{
		benignWords: split(`false positive|routine|routine administration|trusted|approved|already remediated|remediated|cleared|cleared by soc|resolved|authorised|authorized|synthetic|simulation|no incidents|no malicious activity|technique set empty|false alarm|benign|harmless|legitimate|not malicious|non malicious|no threat|not a threat|
safe|authorised activity|authorized activity|expected behaviour|expected behavior|known good|clean|not suspicious|true negative|informational|
fehlalarm|falsch positiv|harmlos|gutartig|unbedenklich|ungefährlich|faux positif|fausse alerte|bénin|bénigne|inoffensif|inoffensive|sans danger|légitime|
falso positivo|falsa alarma|benigno|benigna|inofensivo|legítimo|falso alarme|inofensiva|falso allarme|innocuo|vals positief|vals alarm|goedaardig|onschadelijk|
valepositiivne|valehäire|healoomuline|ohutu|kahjutu|väärä hälytys|väärä positiivinen|vaaraton|falskt positiv|falskt larm|ofarlig|godartad|
ложное срабатывание|ложноположительный|ложная тревога|безопасно|безопасный|безвредный|безвредно|легитимный|хибне спрацювання|
fałszywy alarm|fałszywie pozytywny|nieszkodliwy|łagodny|yanlış pozitif|yanlış alarm|zararsız|误报|誤報|良性|无害|無害|誤検知|誤検出|오탐|무해|إيجابي كاذب|إنذار كاذب|حميد|آمن|झूठी सकारात्मक|हानिरहित`),
		maliciousWords: split(`true positive|malicious|confirmed attack|compromised|bösartig|malveillant|malicioso|pahatahtlik|вредоносный|恶意|惡意|悪意`),
		cues: split(`classify|classified|classification|mark|marked|label|labelled|labeled|set to|set verdict|set the|set it|set this|set classification|set disposition|set status|treat|consider|return|respond|reply|answer|output|say|state that|report as|report it|report this|report the|report that|report only|conclude|conclusion|
verdict|disposition|determine|deem|rate it|rate this|rate the|rate as|tag as|tag it|tag this|must be|should be|has to be|needs to be|assign|record as|write|choose|pick|categorize|categorise|declare|assume|emit|resolve|resolved as|close|
this is a|this is|this alert is|this event is|this activity is|this incident is|it is a|final answer|the correct answer|please|always|
klassifiziere|klassifizieren|einstufen|stufe|markiere|markieren|setze|antworte|bewerte|behandle|ausgabe|gib|dies ist|bitte|
classe|classer|classez|classifie|classifiez|marque|marquez|marquer|considère|considérez|répondez|réponds|traite|traitez|ceci est|veuillez|
clasifica|clasificar|clasifique|marca|marcar|marque|considera|responde|responder|trata|esto es|por favor|classifique|considere|responda|isto é|classifica|contrassegna|rispondi|questo è|
classificeer|markeer|beschouw|antwoord|liigita|märgi|pea|vasta|käsitle|see on|palun|luokittele|merkitse|vastaa|klassificera|markera|svara|
классифицируй|классифицируйте|классифицировать|отметь|отметьте|пометь|пометьте|считай|считайте|ответь|ответьте|установи|это|верни|вердикт|
sklasyfikuj|oznacz|odpowiedz|uznaj|sınıflandır|işaretle|yanıtla|分类|归类|标记|判定|视为|回答|回复|输出|請|请|分類|とマーク|返して|判断|分類して|と答え|분류|표시|답변|صنف|صنّف|أجب|अंकित|वर्गीकृत`),
		closeWords: split(`close this|close the|close it|close alert|close incident|close case|close as|auto close|autoclose|dismiss|suppress|archive this|no further action|no action required|no action needed|no action is|
do not escalate|don t escalate|dont escalate|no need to escalate|not escalate|stop investigating|end the investigation|ignore this alert|ignore the alert|ignore this event|ignore this incident|disregard this alert|disregard the alert|ignore the evidence|disregard the evidence|skip this alert|skip analysis|
nicht eskalieren|schließe|schließen|keine weiteren maßnahmen|ignoriere diesen alarm|fermer|fermez|ferme|clore|clôturez|n escaladez pas|ne pas escalader|aucune action|cierra|cerrar|cierre|no escalar|no escales|ninguna acción|feche|fechar|encerre|não escalar|chiudi|chiudere|
sluit|niet escaleren|sulge|sulgeda|ära eskaleeri|sulje|stäng|закрой|закройте|закрыть|не эскалируй|не эскалируйте|zamknij|kapat|关闭|關閉|忽略此警报|忽略此告警|不要升级|クローズ|閉じて|エスカレートしない|닫아|종료|أغلق|बंद करें`),
		lowWords: split(`severity low|severity to low|severity is low|low severity|lowest severity|severity informational|severity to informational|severity info|lower the severity|reduce the severity|reduce severity|downgrade|priority low|priority to low|low priority|
schweregrad niedrig|niedriger schweregrad|gravité faible|gravité à faible|severidad baja|baja severidad|severidade baixa|gravità bassa|madal raskusaste|низкая серьезность|низкий приоритет|严重性低|低严重性|降低严重`),
		revealWords: split(`reveal|print|repeat|show|dump|leak|tell me|disclose|expose|display|recite|quote|what is|what are|copy|include|list|send|output|share|give me|echo|summarize|summarise|translate|write out|
zeige|verrate|wiederhole|gib|affiche|montre|révèle|répète|muestra|revela|repite|imprime|mostre|mostra|rivela|toon|näita|avalda|korda|näytä|visa|покажи|раскрой|повтори|выведи|pokaż|göster|显示|显露|透露|重复|输出|表示|開示|보여|أظهر|दिखाओ`),
		secretWords: split(`hidden instructions|instructions|system prompt|system message|your prompt|initial prompt|the prompt|hidden prompt|your instructions|the instructions|initial instructions|instructions above|previous instructions|text above|everything above|words above|canary|secret|secrets|password|passwords|credential|credentials|api key|api keys|access token|your rules|your configuration|your guidelines|developer message|confidential|
systemprompt|systemanweisung|anweisungen|geheim|passwort|invite système|instructions système|vos instructions|tes instructions|mot de passe|prompt del sistema|tus instrucciones|sus instrucciones|contraseña|instrucciones del sistema|prompt do sistema|suas instruções|senha|prompt di sistema|istruzioni|systeemprompt|instructies|süsteemiviip|juhised|juhiseid|parool|järjestelmäkehote|ohjeet|systemprompten|
системный промпт|системную подсказку|инструкции|пароль|секрет|instrukcje|hasło|sistem istemi|talimatlar|系统提示|系統提示|指令|密码|密鑰|システムプロンプト|指示|パスワード|시스템 프롬프트|지침|비밀번호|تعليمات|निर्देश`),
		overrideVerbs: split(`ignore|disregard|forget|override|bypass|skip|drop|discard|neglect|omit|cancel|overrule|supersede|supersedes|replace|erase|do not follow|don t follow|stop following|pretend|instead of|
ignoriere|ignorieren|vergiss|vergessen|missachte|überspringe|ignore|ignorez|oublie|oubliez|ne tiens pas compte|olvida|olvide|ignora|ignorar|omite|esqueça|esquece|desconsidere|dimentica|negeer|vergeet|unusta|eira|ignoreeri|unohda|ignorera|glöm|
игнорируй|игнорируйте|забудь|забудьте|пропусти|zignoruj|zapomnij|yoksay|unut|görmezden gel|忽略|忘记|無視|忘れ|무시|잊어|تجاهل|انس|अनदेखा|भूल|উপেক্ষা|abaikan|lupakan|bỏ qua|huwag pansinin`),
		overrideThings: split(`instruction|instructions|previous|prior|above|rules|rule|guidelines|guideline|directions|directives|prompt|constraints|policy|policies|context|detection|detections|checks|enrichment|analysis|investigation|safety|restrictions|filters|commands|everything|told|said|
anweisungen|anweisung|vorherigen|bisherigen|regeln|obigen|consignes|précédentes|règles|instrucciones|anteriores|reglas|instruções|regras|istruzioni|precedenti|regole|instructies|vorige|regels|juhised|juhiseid|eelnevad|reegleid|ohjeet|aiemmat|instruktioner|
инструкции|предыдущие|правила|указания|instrukcje|poprzednie|zasady|talimatları|önceki|kuralları|指令|之前|以上|规则|指示|以前|ルール|지시|이전|규칙|تعليمات|السابقة|निर्देश|पिछले|नियम|instruksi|sebelumnya|hướng dẫn|নির্দেশ`),
		takeovers: split(`im start|im end|sys|inst|end of telemetry|end of log|end of logs|begin new report|incident resolved|closed as|policy changed|summarize as|summarise as|summarize the above|summarise the above|when summarizing|when summarising|when writing the summary|ignore in report|report nothing|stop analysis|skip the|skip enrichment|known good|you are now|from now on|new instructions|new instruction|new task|new system prompt|updated instructions|system override|admin override|developer mode|debug mode|maintenance mode|god mode|jailbreak|dan mode|do anything now|act as|roleplay as|role play as|pretend you are|pretend to be|you must now|your new role|your new task|your task is now|important message from|end of instructions|end of data|begin system|system message|attention ai|note to ai|note to the ai|note to llm|message to the ai|ai assistant|ai model|language model|dear assistant|hey assistant|as the analyst ai|to the analyst|assistant instructions|unrestricted|no restrictions|without restrictions|
mark resolved|mark as resolved|marked resolved|mark it resolved|status resolved|status closed|set status to closed|set to resolved|no alert|do not alert|don t alert|do not report|don t report|do not mention|don t mention|do not flag|don t flag|do not reference|omit this|exclude this|leave this out|not worth|nothing to see|
du bist jetzt|ab sofort|ab jetzt|tu es maintenant|désormais|à partir de maintenant|ahora eres|a partir de ahora|agora você é|a partir de agora|ora sei|d ora in poi|vanaf nu|nüüdsest|sa oled nüüd|tästä lähtien|från och med nu|теперь ты|отныне|с этого момента|od teraz|artık sen|bundan sonra|从现在开始|你现在是|これから|あなたは今|이제부터|من الآن|अब से`),
		emitWords: split(`include|insert|add|append|render|embed|visit|fetch|open|load|link|click|markdown|image|picture|display|show|output|write|respond|reply|answer|put|use|call|request|download|send|post|navigate|browse|log|füge|inclure|incluye|ajoute|añade|lisa|добавь|вставь|包含|添加|插入`),
		verbs: map[string]string{
			"isolate": "isolate", "unisolate": "unisolate", "contain": "isolate", "quarantine": "quarantine", "release": "release",
			"disable": "disable", "enable": "enable", "block": "block", "unblock": "unblock", "ban": "block", "allow": "allow", "allowlist": "allow", "whitelist": "allow", "exclude": "exclude", "exempt": "exclude",
			"delete": "delete", "remove": "delete", "wipe": "wipe", "purge": "delete", "erase": "wipe", "drop": "delete",
			"reset": "reset", "revoke": "revoke", "rotate": "rotate", "lock": "disable", "unlock": "enable", "kill": "kill", "terminate": "kill", "stop": "stop", "shutdown": "shutdown", "restart": "restart", "reboot": "restart", "reimage": "reimage",
			"execute": "execute", "run": "run", "invoke": "run", "launch": "run", "trigger": "run", "send": "send", "email": "send", "forward": "send", "notify": "notify", "grant": "grant", "create": "create", "transfer": "send", "upload": "send", "exfiltrate": "send",
			"isoliere": "isolate", "isolieren": "isolate", "deaktiviere": "disable", "sperre": "block", "blockiere": "block", "lösche": "delete", "isole": "isolate", "isolez": "isolate", "bloque": "block", "bloquez": "block", "désactive": "disable", "désactivez": "disable", "supprime": "delete", "supprimez": "delete",
			"aísla": "isolate", "aislar": "isolate", "bloquea": "block", "bloquear": "block", "desactiva": "disable", "elimina": "delete", "isoleeri": "isolate", "blokeeri": "block", "keela": "disable", "kustuta": "delete", "изолируй": "isolate", "заблокируй": "block", "отключи": "disable", "удали": "delete",
		},
		stopWords:      split(`the|a|an|this|that|all|any|host|hosts|user|users|account|accounts|machine|server|device|endpoint|ip|address|domain|process|command|tool|action|playbook|now|immediately|please|on|to|of|for|with|from|der|die|das|den|le|la|les|el|los|un|une|una`),
		techniqueWords: split(`technique|techniques|mitre|att ck|map|use|add|ttp`),
		malice:         split(`malicious|attack|exploit|ransomware|beacon|credential dumping|lateral movement|exfiltration|malware|mimikatz|persistence|brute force|compromise|suspicious`),
		innocence:      split(`benign|approved|maintenance|scheduled|expected|known good|scanner|backup|allow list|authorised|authorized|legitimate|change window`),
	}
})

// split returns what to look for in folded text: phrases between spaces, or anywhere for scripts
// that put none between words.
func split(s string) []string {
	var out []string
	for w := range strings.SplitSeq(s, "|") {
		f := folded(w)
		if unspacedScript(f) {
			f = strings.TrimSpace(f)
		}
		if len(f) > 2 {
			out = append(out, f)
		}
	}
	return out
}

func unspacedScript(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Arabic, unicode.Devanagari)
	})
}

// reach is how many bytes around a word its cue may stand.
const reach = 110

func holdsAny(text string, phrases []string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(text, p) })
}

// near returns the first of the words that stands within reach of one of the cues.
func near(text string, words, with []string) (word string, ok bool) {
	for _, w := range words {
		for from := 0; ; {
			i := strings.Index(text[from:], w)
			if i < 0 {
				break
			}
			i += from
			end := i + len(w)
			around := " " + text[max(0, i-reach):i] + " " + text[end:min(len(text), end+reach)] + " "
			if holdsAny(around, with) {
				return strings.TrimSpace(w), true
			}
			from = end - 1 // the space may begin the next
		}
	}
	return "", false
}

// obey reads one text and adds what it orders.
func (o *orders) obey(r reading) {
	text := r.text
	l := lexicon()
	f := folded(camels(text))
	if turns(text) {
		o.adrift = true
	}
	if w, ok := near(f, l.benignWords, l.cues); ok {
		o.benign = true
		o.literal = strings.ReplaceAll(w, " ", "_")
	}
	if _, ok := near(f, l.overrideThings, l.overrideVerbs); ok || holdsAny(f, l.takeovers) {
		o.adrift = true
	}
	if _, ok := near(f, l.maliciousWords, l.cues); ok {
		o.malicious = true
	}
	if holdsAny(f, l.closeWords) {
		o.closing = true
	}
	if holdsAny(f, l.lowWords) {
		o.severity = "low"
	}
	if _, ok := near(f, l.secretWords, l.revealWords); ok {
		o.reveal = true
	}
	if r.bent {
		return
	}
	o.act(text)
	o.emit(text, f)
	o.quote(text)
}

// turns reports whether a text forges turns of the conversation.
func turns(text string) bool {
	for line := range strings.Lines(strings.ToLower(text)) {
		line = strings.TrimLeft(line, " \t#*<|[")
		for _, role := range []string{"system:", "assistant:", "user:", "human:", "developer:"} {
			if strings.HasPrefix(line, role) && len(line) > len(role)+8 {
				return true
			}
		}
	}
	return false
}

// camels puts spaces into namesThatAreWritten like this.
func camels(s string) string {
	var b strings.Builder
	last := ' '
	for _, c := range s {
		if unicode.IsUpper(c) && unicode.IsLower(last) {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
		last = c
	}
	return b.String()
}

// act finds verbs of actions and what they are about.
func (o *orders) act(text string) {
	l := lexicon()
	words := strings.Fields(text)
	for i, w := range words {
		bare, _, _ := strings.Cut(strings.TrimSpace(folded(w)), " ") // of isolate_host
		verb := l.verbs[strings.ToLower(strings.Trim(w, ".,;:!?\"'`()[]{}<>*"))]
		if verb == "" {
			verb = l.verbs[bare]
		}
		if verb == "" {
			if strings.HasPrefix(bare, "t") && o.technique(w) && holdsAny(folded(strings.Join(words[max(0, i-10):i], " ")), slices.Concat(l.techniqueWords, l.cues)) {
				o.techniques = append(o.techniques, strings.ToUpper(strings.Trim(w, ".,;:!?\"'`()[]{}<>*")))
			}
			continue
		}
		if t := target(words[i+1:]); t != "" {
			o.addAction(action{name: verb, target: t})
		}
	}
}

func (o *orders) addAction(a action) {
	if len(o.actions) < 20 && !slices.Contains(o.actions, a) {
		o.actions = append(o.actions, a)
	}
}

// technique reports whether a word is shaped like a technique of ATT&CK.
func (o *orders) technique(w string) bool {
	w = strings.Trim(w, ".,;:!?\"'`()[]{}<>*")
	if len(w) < 5 || w[0] != 'T' && w[0] != 't' {
		return false
	}
	head, tail, sub := strings.Cut(w[1:], ".")
	n, err := strconv.Atoi(head)
	if err != nil || n < 0 || len(head) != 4 {
		return false
	}
	_, err = strconv.Atoi(tail)
	return !sub || err == nil
}

// target returns what an action is about: the next word that is not filling, within five.
func target(words []string) string {
	l := lexicon()
	for _, w := range words[:min(5, len(words))] {
		w = strings.Trim(w, ".,;:!?\"'`()[]{}<>*\\")
		if w == "" || slices.Contains(l.stopWords, folded(w)) {
			continue
		}
		return w
	}
	return ""
}

// emit finds addresses and images that the text wants to see in the answer.
func (o *orders) emit(text, f string) {
	if !holdsAny(f, lexicon().emitWords) {
		return
	}
	for _, start := range []string{"![", "http://", "https://", "ftp://", "javascript:", "data:"} {
		for rest := text; ; {
			i := strings.Index(rest, start)
			if i < 0 {
				break
			}
			end := strings.IndexAny(rest[i:], " \t\r\n\"'<>`")
			if start == "![" {
				end = strings.IndexByte(rest[i:], ')') + 1
			}
			if end <= 0 {
				end = len(rest) - i
			}
			o.tell(rest[i : i+end])
			rest = rest[i+end:]
		}
	}
}

func (o *orders) tell(s string) {
	if s = strings.TrimSpace(s); s != "" && len(o.say) < 20 && !slices.Contains(o.say, s) {
		o.say = append(o.say, s[:min(len(s), 2000)])
	}
}

// dictate are the words before a text that is to be repeated, as they are written.
var dictate = []string{"respond with", "reply with", "answer with", "respond only with", "reply only with", "output", "say", "return", "print", "write", "include the word", "include", "begin your answer with", "start with", "end with", "antworte mit", "répondez", "responde con", "vasta", "ответь", "回答", "回复"}

// quote finds what is to be repeated: in quotes, or an object of JSON whose values are then
// forced upon the answer.
func (o *orders) quote(text string) {
	lower := strings.ToLower(text)
	if len(lower) != len(text) {
		return // letters whose lower case is longer: the other readings do
	}
	for _, d := range dictate {
		for from := 0; ; {
			i := strings.Index(lower[from:], d)
			if i < 0 {
				break
			}
			from += i + len(d)
			o.repeat(text[from:min(len(text), from+600)])
		}
	}
}

func (o *orders) repeat(rest string) {
	if i := strings.IndexByte(rest, '{'); i >= 0 && i < 80 {
		var v map[string]any
		if json.NewDecoder(strings.NewReader(rest[i:])).Decode(&v) == nil {
			for k, x := range v {
				if o.forced == nil {
					o.forced = map[string]any{}
				}
				o.forced[k] = x
			}
		}
	}
	for _, q := range []string{`"`, "'", "`"} {
		if i := strings.Index(rest, q); i >= 0 && i < 40 {
			if said, _, ok := strings.Cut(rest[i+1:], q); ok {
				o.tell(said)
				return
			}
		}
	}
	word, _, _ := strings.Cut(strings.TrimLeft(rest, " :"), " ")
	if w := strings.Trim(word, ".,;:!?"); len(w) >= 4 && w == strings.ToUpper(w) && w != strings.ToLower(w) {
		o.tell(w) // a code word
	}
}
