package report

import (
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"salvor/custody"
	"salvor/custody/report/layout"
)

// The catalogue is our own and small: the four languages of a sentence stand side by
// side, so that a translator sees all and a test compares their placeholders. A message
// library (go-i18n) would spread them over four files and bring templates that can fail
// while a paper is printed. Only the rules of plurals, which are Unicode's, are taken
// from a library.

//go:embed locale/terms.csv
var termsCSV string

//go:embed locale/*.toml
var sentenceFiles embed.FS

// Where the long words at the head of narrow columns may be broken, one word a line.
//
//go:embed locale/breaks.txt
var breakable string

// entry is one term or sentence in all languages.
type entry struct {
	Text  string `toml:"text"`  // the stable English sentence by which facts name it; may be empty
	Legal bool   `toml:"legal"` // legal wording: needs a native reader
	EN    string `toml:"en"`
	NL    string `toml:"nl"`
	FR    string `toml:"fr"`
	DE    string `toml:"de"`
}

func (e entry) in(l custody.Language) string {
	switch l {
	case custody.Dutch:
		return e.NL
	case custody.French:
		return e.FR
	case custody.German:
		return e.DE
	}
	return e.EN
}

// catalogue is everything in locale/, by key and by the stable English sentence.
type catalogue struct {
	byKey  map[string]entry
	byText map[string]string // text → key
	soft   *strings.Replacer // puts soft hyphens into long words
}

// words reads the embedded files once; they are part of the program, so an error here
// is a fault of the build that a test finds.
var words = sync.OnceValues(func() (catalogue, error) { return readCatalogue(termsCSV, sentenceFiles) })

func readCatalogue(terms string, sentences fs.FS) (catalogue, error) {
	c := catalogue{byKey: map[string]entry{}, byText: map[string]string{}, soft: softHyphens(breakable)}
	rows, err := csv.NewReader(strings.NewReader(terms)).ReadAll()
	if err != nil {
		return c, fmt.Errorf("terms: %w", err)
	}
	if len(rows) == 0 || strings.Join(rows[0], ",") != "key,en,nl,fr,de" {
		return c, errors.New("terms: unknown columns")
	}
	for _, r := range rows[1:] {
		c.byKey[r[0]] = entry{EN: r[1], NL: r[2], FR: r[3], DE: r[4]}
	}
	files, err := fs.Glob(sentences, "locale/*.toml")
	if err != nil {
		return c, fmt.Errorf("sentences: %w", err)
	}
	for _, name := range files {
		if err := c.read(sentences, name); err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
	}
	return c, nil
}

// softHyphens makes what puts a soft hyphen where a word of the list may be broken.
func softHyphens(list string) *strings.Replacer {
	var pairs []string
	for _, word := range strings.Fields(list) {
		pairs = append(pairs, strings.ReplaceAll(word, "|", ""), strings.ReplaceAll(word, "|", layout.SoftHyphen))
	}
	return strings.NewReplacer(pairs...)
}

// read adds the sentences of one file.
func (c catalogue) read(sentences fs.FS, name string) error {
	var more map[string]entry
	meta, err := toml.DecodeFS(sentences, name, &more)
	if err != nil {
		return err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("unknown key %s", unknown[0])
	}
	for key, e := range more {
		if _, twice := c.byKey[key]; twice {
			return fmt.Errorf("%s is there twice", key)
		}
		c.byKey[key] = e
		if e.Text != "" {
			c.byText[e.Text] = key
		}
	}
	return nil
}

// locale speaks one language in one time zone.
type locale struct {
	lang custody.Language
	zone *time.Location
	cat  catalogue
}

// newLocale checks language and zone of a paper.
func newLocale(h Head) (locale, error) {
	if !h.Language.Valid() {
		return locale{}, ErrLanguage
	}
	zone, err := time.LoadLocation(h.Zone)
	if err != nil || h.Zone == "Local" {
		return locale{}, fmt.Errorf("time zone of the paper: unknown")
	}
	cat, err := words()
	return locale{h.Language, zone, cat}, err
}

// say returns the text of key with {name} replaced by the value that follows name in
// pairs. Values are made printable. An unknown key shows as itself between marks, which
// no test lets through.
func (l locale) say(key string, pairs ...string) string {
	e, ok := l.cat.byKey[key]
	if !ok {
		return "‹" + plain(key) + "›"
	}
	text := e.in(l.lang)
	if l.lang == custody.French {
		// French puts a space before or after these signs, at which no line may break.
		text = strings.NewReplacer(" :", "\u00a0:", " ;", "\u00a0;", "§ ", "§\u00a0", "n° ", "n°\u00a0").Replace(text)
	}
	var with []string
	for i := 0; i+1 < len(pairs); i += 2 {
		with = append(with, "{"+pairs[i]+"}", plain(pairs[i+1]))
	}
	return strings.NewReplacer(with...).Replace(text)
}

// count says key for a number of things: "1 day", "2 days". Which form a number takes
// is Unicode's rule for the language (French counts 0 as one). The forms are two entries,
// key.one and key.other, which is all that these four languages need; {n} is the number.
func (l locale) count(key string, n int64, pairs ...string) string {
	form := ".other"
	if plural.Cardinal.MatchPlural(language.Make(string(l.lang)), int(min(n, 1_000_000_000)), 0, 0, 0, 0) == plural.One {
		form = ".one"
	}
	return l.say(key+form, append(pairs, "n", l.number(n))...)
}

// colon is what stands after a label.
func (l locale) colon() string {
	if l.lang == custody.French {
		return "\u00a0:"
	}
	return ":"
}

// semicolon is what stands between the things of a list.
func (l locale) semicolon() string {
	if l.lang == custody.French {
		return "\u00a0; "
	}
	return "; "
}

// known tells whether there is a text for key.
func (l locale) known(key string) bool { _, ok := l.cat.byKey[key]; return ok }

// code says prefix+code where that is known, else the code as it is.
func (l locale) code(prefix, code string) string {
	if l.known(prefix + code) {
		return l.say(prefix + code)
	}
	return plain(code)
}

// sentence translates a stable English sentence, or shows it as the English it is.
func (l locale) sentence(text string) string {
	if key, ok := l.cat.byText[text]; ok {
		return l.say(key)
	}
	return l.say("doc.in_english", "words", text)
}

// day writes a date in letters: "21 november 2026".
func (l locale) day(t time.Time) string {
	y, m, d := t.In(l.zone).Date()
	key := "date.day"
	if d == 1 {
		key = "date.first"
	}
	month := strings.Fields(l.say("date.months"))[m-1]
	return l.say(key, "day", fmt.Sprint(d), "month", month, "year", fmt.Sprint(y))
}

// dateWords writes a date in letters; one that cannot be read stays as it is.
func (l locale) dateWords(d custody.Date) string {
	t, err := d.Start(l.zone)
	if err != nil {
		return plain(string(d))
	}
	return l.day(t)
}

// minute writes a time for a table: ISO 8601 with the zone's offset.
func (l locale) minute(t time.Time) string { return t.In(l.zone).Format("2006-01-02 15:04-07:00") }

// exact writes a time to the second.
func (l locale) exact(t time.Time) string { return t.In(l.zone).Format("2006-01-02 15:04:05-07:00") }

// number groups the digits of n as the language does. The spaces are unbreakable.
func (l locale) number(n int64) string {
	sep := "."
	switch l.lang {
	case custody.English:
		sep = ","
	case custody.French:
		sep = "\u00a0"
	}
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var groups []string
	for len(s) > 3 {
		groups = append([]string{s[len(s)-3:]}, groups...)
		s = s[:len(s)-3]
	}
	return sign + strings.Join(append([]string{s}, groups...), sep)
}

// size writes n bytes in the decimal units in which disks are sold.
func (l locale) size(n int64) string {
	unit := "B"
	if l.lang == custody.French {
		unit = "o"
	}
	if n < 1000 {
		return fmt.Sprintf("%d\u00a0%s", n, unit)
	}
	prefixes := []string{"k", "M", "G", "T", "P", "E"}
	v, i := float64(n)/1000, 0
	for v >= 999.95 && i < len(prefixes)-1 {
		v /= 1000
		i++
	}
	s := fmt.Sprintf("%.1f", v)
	if l.lang != custody.English {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s + "\u00a0" + prefixes[i] + unit
}

// bytes writes n exactly and in short.
func (l locale) bytes(n int64) string {
	return l.say("doc.bytes", "n", l.number(n), "size", l.size(n))
}

// yes writes a truth.
func (l locale) yes(b bool) string {
	if b {
		return l.say("doc.yes")
	}
	return l.say("doc.no")
}

// personal writes a text about a person, and says when it was erased or never
// recorded.
func (l locale) personal(p Personal) string {
	switch {
	case !p.ErasedOn.IsZero():
		return l.say("doc.erased_on", "date", l.day(p.ErasedOn))
	case strings.TrimSpace(p.Text) == "":
		return l.say("doc.not_recorded")
	}
	return plain(p.Text)
}

// empty tells that there is nothing to say about p, not even that it was erased.
func (p Personal) empty() bool { return p.ErasedOn.IsZero() && strings.TrimSpace(p.Text) == "" }

// plain makes a text printable on paper: line breaks and tabs become spaces, what
// would steer a printer, a terminal or the direction of reading is written out.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !printable(r) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "<%02X>", s[i])
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case !printable(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func printable(r rune) bool { return unicode.IsPrint(r) || r == '\u00a0' || r == '\u202f' }
