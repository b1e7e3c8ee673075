package redact

import "strings"

var (
	particles = words(`de da do dos das del della di du la le van von der den ten ter zu zur bin ibn al el y e af`)

	titles = words(`mr mrs ms miss dr prof professor sir madam`)

	// notNames are words that begin sentences, and others that are written with a capital and name
	// nobody.
	notNames = words(`a about above action address advances after again all also although always am an and another answer any anything are
		as ask at ate aw awarded bank be because been before being believe best billing black blue book bot border both but by bye call can
		card celebrating change check children city click close club come company complete could country credit critics customer date day dear
		did directed do does don done down during each either email energetic enter even ever every everyone excuse family fax few film first find
		for force from get give go going good great had has have having he hello help helped her here hers hey hi him his hobbits home house
		how however i if in inc information interstellar is it its itself just keep kids king know last let letter like list live ll ltd look looking
		lost love made mail make many maybe me meet message mission mobile more most movie much music must my mystery name
		near need never new next nice no non nor not nothing now number of off offices oh ok okay old on once one only open or order other our out
		over patient pedestrians person personal phone please pm press princess queen question quick re really red regular restaurant royal
		said sales sales saw say says see send she should show since so some someone something song sorry st statement still story street
		such suspense sure system take tell than thank thanks that the their them then there these they thing this those three to today
		tomorrow too top tried two under unfortunately unlike until up update us use user users very want was watch we
		website weekly well were what when where which while white who whose why will with within without world would
		yeah year years yes yesterday yet you young your zip apo dpo ap aa ae atm ceo devil adventure animation comedy
		vp cto cfo iban ssn cc pin id tv usa uk eu nan january february march april may june july august september october november
		december monday tuesday wednesday thursday friday saturday sunday desk tel office cell contact subject sincerely regards best cheers
		suite apt apartment unit box psc road avenue drive lane corner taxi album band novel concert song tribute visit country`)

	// nouns are common ones that titles and headings write with a capital.
	nouns = words(`account administrator agent airport analyst answer application area army artist assistant association author award beach board
		body bridge building business car case cathedral center centre chapter chief church clerk coach code college comment
		committee community conference consultant council county court department description designer director district
		division doctor document driver east economy education engineer event executive experience field fire force forest
		friend fund garden government governor group guide head health heart hill history holiday hospital hotel human idea
		industry info issue item job journal judge junior lake language law lawyer leader league lesson level library life line
		list local location loss manager map mayor member minister model moment month morning mother mountain museum nation
		network night north note nurse officer page paper parent park part party people pilot place plan player point police
		policy position power president price prime problem process product profile program project public quarter race
		reason record region religion report republican request research rest result river role room rule salesperson
		school science sea season section senator senior series service session shop show side sister site skill society
		soldier son south space sport staff stage star station store student style summer summary table task tax teacher team test text
		theatre thing ticket title tour town trade training travel treaty trip trust type union value version video view
		village voice vote war water wedding week west wife winner winter woman word work worker writer web chat bot online internet
		mobile computer monthly daily order invoice total amount balance payment delivery shipping street`)

	organisations = words(`inc ltd llc corp corporation company group bank capital weekly business elsevier partners associates university
		college institute hospital systems solutions technologies technology services agency foundation association media holdings
		labs ventures industries international markets club records news times post magazine data software consulting rand poors`)

	countries = words(`afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan bahrain bangladesh belarus belgium
		belize benin bhutan bolivia botswana brazil brunei bulgaria burundi cambodia cameroon canada chad chile china colombia congo croatia cuba
		cyprus czechia denmark djibouti ecuador egypt eritrea estonia ethiopia fiji finland france gabon gambia georgia germany ghana greece
		greenland grenada guatemala guinea guyana haiti honduras hungary iceland india indonesia iran iraq ireland israel italy jamaica japan
		jordan kazakhstan kenya kosovo kuwait laos latvia lebanon lesotho liberia libya liechtenstein lithuania luxembourg madagascar malawi malaysia
		maldives mali malta mauritania mauritius mexico moldova monaco mongolia montenegro morocco mozambique myanmar namibia nepal netherlands
		nicaragua niger nigeria norway oman pakistan palestine panama paraguay peru philippines poland portugal qatar romania russia rwanda
		senegal serbia singapore slovakia slovenia somalia spain sudan suriname sweden switzerland syria taiwan tajikistan tanzania thailand
		togo tonga tunisia turkey turkmenistan uganda ukraine uruguay uzbekistan venezuela vietnam yemen zambia zimbabwe england scotland wales europe
		africa asia america`)

	nationalities = words(`afghan albanian algerian american angolan arab arabic argentine argentinian armenian asian australian austrian belgian bengali
		bosnian brazilian british bulgarian canadian catalan chechen chilean chinese colombian croatian cuban czech danish dutch egyptian english
		eritrean estonian ethiopian european finnish french georgian german ghanaian greek greenlander greenlandic hungarian icelandic indian
		indonesian iranian iraqi irish israeli italian jamaican japanese jewish jordanian kenyan korean kurdish latvian lebanese libyan lithuanian
		malaysian maltese mexican moldovan mongolian moroccan muslim christian nepalese nigerian norwegian pakistani palestinian persian peruvian
		philippine polish portuguese romanian russian saudi scottish serbian slovak slovakian slovene slovenian somali spanish sudanese swedish
		swiss syrian taiwanese thai tunisian turkish ukrainian uruguayan venezuelan vietnamese welsh`)

	beforePlace = words(`in near visit visiting toward towards across around outside`)

	// afterName are words that follow a single name at the beginning of a sentence.
	afterName = words(`is was said says shouted can has had and asked told will would does did wrote lives works likes loves wants called went came
		knows thinks thought looked smiled replied answered`)
)

// names finds the names of people, and with them places, nationalities and organisations, which
// are what else is written with capitals.
func (p *prose) names() {
	for i := 0; i < len(p.list); i++ {
		t := &p.list[i]
		if p.taken(t) {
			continue
		}
		if titles.has(p.word(i)) && (t.capital || t.shout) && i+1 < len(p.list) && strings.Trim(p.gap(i+1), ". ") == "" && p.list[i+1].capital {
			end := t.end
			if p.byteAt(end) == '.' {
				end++
			}
			p.add(Trait, t.start, end)
			i = p.emit(i+1, Person)
			continue
		}
		if c, ok := p.cuedName(i); ok {
			i = p.emit(c, Person)
			continue
		}
		if !t.capital || p.common(i) && !p.initial(i) || t.number || t.end-t.start == 1 && !p.initial(i) {
			continue
		}
		i = p.name(i)
	}
}

// cuedName finds the name behind "name is" and the like, whatever its case.
func (p *prose) cuedName(i int) (int, bool) {
	w := strings.ToLower(p.word(i))
	next := i + 1
	if next >= len(p.list) {
		return 0, false
	}
	switch {
	case w == "name" && strings.EqualFold(p.word(next), "is") && next+1 < len(p.list) && !notNames.has(p.word(next+1)):
		return next + 1, true
	case w == "me" && strings.EqualFold(p.word(i-1), "call") && !notNames.has(p.word(next)) && !p.list[next].number && p.gap(next) == " ":
		return next, true
	}
	return 0, false
}

// initial reports a single letter with a dot, before another part of a name.
func (p *prose) initial(i int) bool {
	t := &p.list[i]
	return t.end-t.start == 1 && t.capital && p.byteAt(t.end) == '.' && i+1 < len(p.list) && p.list[i+1].capital
}

// common reports words that are no names although they have a capital: those of the lists,
// those with two capitals in front, and those that the text has in small letters as well.
func (p *prose) common(i int) bool {
	w := p.word(i)
	if notNames.has(w) || nouns.has(w) || titles.has(w) || len(w) > 1 && chars[w[1]]&cUpper != 0 {
		return true
	}
	return p.small[strings.ToLower(w)]
}

// last returns the last token of the name that begins at i.
func (p *prose) last(i int) int {
	lower := p.lowerCase()
	end := i
	for n := i + 1; n < len(p.list) && n <= i+4; n++ {
		g := p.gap(n)
		one := p.list[n-1].end-p.list[n-1].start == 1
		if g != " " && g != "-" && g != "'" && g != "’" && !(one && g == ". ") || p.taken(&p.list[n]) {
			break
		}
		t := &p.list[n]
		if g == "'" && t.end-t.start == 1 {
			break // a possessive
		}
		if t.capital && !p.common(n) || t.capital && t.end-t.start == 1 && p.word(n) != "I" || (p.word(n) == "II" || p.word(n) == "III") {
			end = n
			continue
		}
		if lower && !notNames.has(p.word(n)) && !t.number && n <= i+1 && !afterName.has(p.word(n)) {
			end = n
			continue
		}
		if !particles.has(p.word(n)) || n+1 >= len(p.list) || !p.list[n+1].capital {
			break
		}
	}
	return end
}

func (p *prose) emit(i int, c Class) int {
	end := p.last(i)
	p.add(c, p.list[i].start, p.list[end].end)
	return end
}

// name decides what the run of capitals at i is.
func (p *prose) name(i int) int {
	end := p.last(i)
	count := end - i + 1
	before := strings.ToLower(p.word(i - 1))
	plainGap := p.gap(i) == " "
	start := i == 0 || strings.ContainsAny(p.gap(i), ".!?:\n\"“”>")
	only := p.word(i)
	if strings.HasSuffix(p.gap(i), "\"") && strings.HasPrefix(strings.TrimLeft(p.gap(end+1), ",."), "\"") {
		return end // the title of something
	}
	switch {
	case p.firm(i, end):
		last := end + 1
		for !strings.EqualFold(p.word(last), "and") {
			last++
		}
		p.add(Trait, p.list[i].start, p.list[last+1].end)
		return last + 1
	case count == 1 && nationalities.has(only), count == 1 && countries.has(only),
		count > 1 && countries.has(p.word(end)) || strings.EqualFold(only, "united") || strings.EqualFold(p.word(end), "republic") || strings.EqualFold(only, "new") || strings.EqualFold(only, "south") || strings.EqualFold(only, "north"):
		p.add(Trait, p.list[i].start, p.list[end].end)
	case nationalities.has(only) && count > 1:
		p.add(Trait, p.list[i].start, p.list[i].end)
		return i
	case p.organisation(i, end), count == 1 && (before == "at" || before == "for") && plainGap:
		p.add(Trait, p.list[i].start, p.list[end].end)
	case beforePlace.has(before) && plainGap, before == "from" && plainGap && count == 1, before == "at" && plainGap, before == "to" && plainGap && strings.EqualFold(p.word(i-2), "moved"):
		p.add(Trait, p.list[i].start, p.list[end].end)
		return p.placeCode(end)
	case count > 1:
		p.add(Person, p.list[i].start, p.list[end].end)
	case !start:
		p.add(Person, p.list[i].start, p.list[end].end)
	case afterName.has(p.word(i+1)) && p.gap(i+1) == " ", strings.HasPrefix(p.gap(i+1), ": \""), strings.HasPrefix(p.gap(i+1), ":\""),
		strings.HasPrefix(p.gap(i+1), "'") && strings.EqualFold(p.word(i+1), "s"), strings.HasPrefix(p.gap(i+1), ", ") && strings.EqualFold(p.word(i+1), "can"):
		p.add(Person, p.list[i].start, p.list[end].end)
	}
	return end
}

// firm reports "Black, White and Grey".
func (p *prose) firm(i, end int) bool {
	n := end + 1
	if i != end || n+2 >= len(p.list) || p.gap(n) != ", " || !p.list[n].capital {
		return false
	}
	return strings.EqualFold(p.word(n+1), "and") && p.gap(n+1) == " " && p.list[n+2].capital && p.gap(n+2) == " "
}

// placeCode emits the postal code behind the name of a place.
func (p *prose) placeCode(end int) int {
	last := end
	for n := end + 1; n < len(p.list) && n <= end+2 && p.list[n].number && (p.gap(n) == " " || p.gap(n) == "-"); n++ {
		last = n
	}
	if last > end && p.list[last].end-p.list[end+1].start >= 3 {
		p.add(Address, p.list[end+1].start, p.list[last].end)
	}
	return last
}

func (p *prose) organisation(i, end int) bool {
	for n := i; n <= end; n++ {
		if organisations.has(p.word(n)) {
			return true
		}
	}
	return end+1 < len(p.list) && organisations.has(p.word(end+1)) && p.gap(end+1) == " "
}
