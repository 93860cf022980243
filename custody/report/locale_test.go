package report

import (
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/custody"
)

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

func TestEveryEntryHasFourLanguagesWithTheSamePlaceholders(t *testing.T) {
	cat, err := words()
	if err != nil {
		t.Fatal(err)
	}
	for key, e := range cat.byKey {
		want := placeholders(e.EN)
		for _, l := range Languages() {
			text := e.in(l)
			if strings.TrimSpace(text) == "" || text != strings.TrimSpace(text) {
				t.Errorf("%s: %s is empty or padded", key, l)
			}
			if plain(text) != text {
				t.Errorf("%s: %s is not printable", key, l)
			}
			if diff := cmp.Diff(want, placeholders(text)); diff != "" {
				t.Errorf("%s: %s (-en +%s):\n%s", key, l, l, diff)
			}
		}
	}
}

func placeholders(s string) []string {
	found := placeholder.FindAllString(s, -1)
	slices.Sort(found)
	return found
}

func TestAllTermsAreThere(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(termsCSV)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rows) - 1; n != 140 {
		t.Errorf("%d terms, want 140", n)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r[0]] {
			t.Errorf("term %s stands there twice", r[0])
		}
		seen[r[0]] = true
	}
}

// The terms are settled: lawyers and technicians have agreed on them, and papers that
// are signed already use them.
func TestTheSettledTermsStayAsTheyAre(t *testing.T) {
	const settled = "6e7c9ec488c7a8ada0e4339eee6bfb31524ba2c6cd096a9f6c9b8dc4c3186b78"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(termsCSV))); got != settled {
		t.Errorf("the terms have the SHA-256 %s", got)
	}
}

// rivals are other words for what a settled term names.
var rivals = map[custody.Language]string{
	custody.English: `certificate|deletion|delete[ds]?|shredding of data|evidence log|logbook|safe deposit|workplace|keeper`,
	custody.Dutch:   `certificaat|werkstation|logbestand|protocol|datakluis|safe|dataredding|wisverbod|verwijderattest|technieker|recuperatie|beheerder|bewaartijd`,
	custody.French:  `certificat|effaçage|suppression des données|coffre-fort|station de travail|gel|écras\p{L}+|récupération de données|conservateur|registre de garde`,
	custody.German:  `Zertifikat|Löschzertifikat|Logbuch|Tresorraum|Arbeitsstation|Sperrvermerk|Aufbewahrungsfrist|Datenwiederherstellung|Verwahrstelle|Löschsperrung`,
}

func TestNoSentenceHasAnotherWordForASettledTerm(t *testing.T) {
	cat, err := words()
	if err != nil {
		t.Fatal(err)
	}
	for l, list := range rivals {
		rival := regexp.MustCompile(`(?i)(^|[^\p{L}])(` + list + `)($|[^\p{L}])`)
		for key, e := range cat.byKey {
			// What was crushed is no overwriting.
			if found := rival.FindString(e.in(l)); found != "" && key != "destroy.crush" {
				t.Errorf("%s: %s says %q", key, l, found)
			}
		}
	}
}

// families are the keys that are put together from a prefix and a code.
var families = []string{
	"action.", "activity.", "attest.fate.", "attest.ground_", "attest.holds.", "attest.read.", "attest.technique.", "audit.check.", "audit.do.", "audit.fault.",
	"carrier.", "checked.", "class.device.", "class.key.", "class.media.", "copykind.", "destroy.", "device.discard.", "device.sanitize.", "media.", "clock.", "condition.", "confirmed.", "custody.state.", "delay.", "due.state.", "end.",
	"event.", "exempt.", "export.", "extension.", "fate.", "gap.", "hands.", "hold.", "hold.short.", "image.", "incident.", "item.", "level.", "medium.",
	"operator.", "outcome.", "period.", "policy.", "policy.value.", "proved.", "purpose.short.", "reason.", "recipient.", "request.", "returned.", "risk.", "role.",
	"map.no.", "role.short.", "safeguard.", "sanitize.", "seal.", "service.", "shown.", "special.", "step.", "stop.", "transfer.", "uncovered.", "use.", "where.", "wiped.",
}

func TestEveryKeyInTheCodeExistsAndEverySentenceIsUsed(t *testing.T) {
	cat, err := words()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	form := regexp.MustCompile(`^[a-z]+\.[a-z_0-9]+$`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil || !form.MatchString(s) || strings.HasPrefix(s, "golang.") {
				return true
			}
			used[s] = true
			return true
		})
	}
	for key := range used {
		_, one := cat.byKey[key+".one"]
		_, other := cat.byKey[key+".other"]
		if _, ok := cat.byKey[key]; !ok && (!one || !other) && !slices.Contains(families, key) {
			t.Errorf("%s is used and has no text", key)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(termsCSV)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	terms := map[string]bool{}
	for _, r := range rows {
		terms[r[0]] = true
	}
	for key := range cat.byKey {
		family := slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(key, f) })
		counted := strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
		if !used[key] && !used[counted] && !family && !terms[key] { // terms belong to papers that are still to come
			t.Errorf("%s is said nowhere", key)
		}
	}
}

func TestEveryCodeOfAFamilyHasAText(t *testing.T) {
	cat, err := words()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	add := func(prefix string, codes ...string) {
		for _, c := range codes {
			want = append(want, prefix+c)
		}
	}
	add("class.key.", KeyComplete, KeyPartial, KeyNone)
	add("class.media.", MediaRaw, MediaLogical, MediaNotAssured, MediaFailed, MediaPurged)
	add("class.device.", MediaPurged, MediaRaw, MediaNotAssured, MediaFailed)
	add("device.discard.", "done", "refused")
	add("device.sanitize.", "refused", "failed", "succeeded")
	add("attest.ground_", GroundDeadline, GroundEarly)
	add("attest.fate.", FateDestroyed, FateUnproved, FateMissing, FateFailed, FateEarlier)
	add("attest.read.", ReadDevice, ReadFile, ReadNone)
	add("attest.technique.", TechniqueStream, TechniqueDevice)
	add("attest.holds.", "image", "keys", "image and keys")
	add("custody.state.", StateOpen, StateErasing, StateErased, StateClosed)
	add("hands.", "here", "out", "returned", "destroyed", "erased")
	add("fate.", string(custody.CopyReturned), string(custody.CopyDestroyed), string(custody.CopyVoid), string(custody.CopyTaken))
	add("map.no.", NoMapAbsent, NoMapFault)
	add("where.", "file", "device")
	add("due.state.", DueKept, DueOverdue, DueHeld, DueFailed, DueUnvalidated, DueErasing, DueUndated)
	add("operator.", OperatorNoAgreement, OperatorNoTraining, OperatorTrainingOld)
	add("clock.", ClockRequest, ClockAuthority, ClockController, ClockReview)
	for _, prefix := range []string{"audit.check.", "audit.do.", "audit.fault."} {
		add(prefix, AuditSignatures, AuditSequence, AuditLinks, AuditTree, AuditCommitments, AuditProjections, AuditStorage, AuditWitnesses, AuditAttests)
	}
	for _, code := range []string{ActivityRescue, ActivityCustomers, ActivityLedger, ActivityStaff, ActivityRights, ActivityForOthers} {
		add("activity."+code+".", "name", "purposes", "subjects", "data", "recipients", "period")
	}
	add("purpose.short.", "crash", "reinstall", "transfer")
	add("hold.short.", "restriction", "legal", "incident", "other")
	for _, k := range []custody.ExceptionKind{
		custody.HeldButErased, custody.NotProved, custody.ClonedStation, custody.NotOpened, custody.AfterErase, custody.OpenCopies,
		custody.OpenItems, custody.Disputed, custody.ItemTwice, custody.SealNotIntact, custody.PlainCopy, custody.LateExtension, custody.CameBack,
	} {
		add("gap.", string(k))
	}
	for _, n := range custody.PolicyNames() {
		add("policy.", string(n))
	}
	add("policy.value.", custody.PolicyTrue, custody.PolicyFalse, custody.ValidationNone, custody.ValidationRequired)
	add("period.", "days.one", "weeks.one", "months.one", "hours.one")
	add("role.", "controller", "processor", "short.controller", "short.processor")
	add("image.", "started", "paused", "sealed", "failed", "erasing", "erased")
	for _, key := range want {
		if _, ok := cat.byKey[key]; !ok {
			t.Errorf("%s has no text", key)
		}
	}
	for _, text := range []string{
		UncoveredSource, UncoveredExports, UncoveredBackups, UncoveredSnapshots, UncoveredMetadata, UncoveredHidden,
		UncoveredFlash, UncoveredLayers, UncoveredPlace, UncoveredVersions, UncoveredRest, UncoveredKeys, BySerial, ByName,
		"hard disk", "SSD", "NVMe SSD", "USB stick", "memory card", "virtual device", "unknown device",
	} {
		if _, ok := cat.byText[text]; !ok {
			t.Errorf("%q is not translated", text)
		}
	}
}

// The codes of other packages are read from their source, so that a new one cannot
// be forgotten here.
func TestEveryCodeOfTheOtherPackagesHasAText(t *testing.T) {
	cat, err := words()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		file, constant, key string // of the constants that begin so, the value with key before it
		byText              bool
	}{
		{"../../wipe/classify.go", "Because", "", true},
		{"../../wipe/classify.go", "Beyond", "", true},
		{"../../wipe/device/classify.go", "Because", "", true},
		{"../../wipe/device/job.go", "BlockErase", "", true},
		{"../../wipe/device/job.go", "CryptoErase", "", true},
		{"../../wipe/device/job.go", "OverwriteErase", "", true},
		{"../ledger/audit.go", "Check", "audit.check.", false},
		{"../../wipe/device/classify.go", "Beyond", "", true},
		{"../payload_giving.go", "Copy", "copykind.", false},
		{"../payload_giving.go", "Destroy", "destroy.", false},
		{"../enums.go", "Item", "item.", false},
		{"../enums.go", "Verify", "level.", false},
		{"../enums.go", "Use", "use.", false},
		{"../enums.go", "Hold", "hold.", false},
		{"../payload_giving.go", "Category", "special.", false},
		{"../payload_giving.go", "Action", "action.", false},
		{"../payload_giving.go", "End", "end.", false},
		{"../payload_giving.go", "Recipient", "recipient.", false},
		{"../payload_giving.go", "Checked", "checked.", false},
		{"../payload_giving.go", "Medium", "medium.", false},
		{"../payload_giving.go", "Confirmed", "confirmed.", false},
		{"../payload_handling.go", "Seal", "seal.", false},
		{"../payload_handling.go", "Transfer", "transfer.", false},
		{"../payload_handling.go", "Carrier", "carrier.", false},
		{"../enums.go", "Stop", "stop.", false},
		{"../enums.go", "Step", "step.", false},
		{"../payload_handling.go", "Condition", "condition.", false},
		{"../payload_rights.go", "Incident", "incident.", false},
		{"../payload_rights.go", "Risk", "risk.", false},
		{"../payload_rights.go", "Exempt", "exempt.", false},
		{"../payload_rights.go", "Delay", "delay.", false},
		{"../payload_rights.go", "Request", "request.", false},
		{"../payload_rights.go", "Extension", "extension.", false},
		{"../payload_rights.go", "Outcome", "outcome.", false},
		{"../payload_shop.go", "Service", "service.", false},
		{"../payload_shown.go", "Shown", "shown.", false},
		{"../payload_shop.go", "Safeguard", "safeguard.", false},
	} {
		values := constants(t, want.file, want.constant)
		if len(values) == 0 {
			t.Errorf("%s: no constant begins with %s", want.file, want.constant)
		}
		for _, v := range values {
			_, ok := cat.byKey[want.key+v]
			if want.byText {
				_, ok = cat.byText[v]
			}
			if !ok {
				t.Errorf("%s: %q has no text", want.file, v)
			}
		}
	}
}

// Every event can stand in a case's timeline, but for those of the shop.
func TestEveryEventOfACaseHasAName(t *testing.T) {
	cat, err := words()
	if err != nil {
		t.Fatal(err)
	}
	shop := []string{"shop.", "station.", "key.added", "vault.", "operator.", "heartbeat", "policy.", "processor.", "backup.", "selftest."}
	files, err := filepath.Glob("../payload*.go")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, v := range constants(t, file, "Type") {
			ofShop := slices.ContainsFunc(shop, func(s string) bool { return strings.HasPrefix(v, s) })
			if _, ok := cat.byKey["event."+v]; !ok && !ofShop {
				t.Errorf("%s: %q has no name", file, v)
			}
		}
	}
}

// constants returns the string values of the constants in a file whose name begins
// with prefix.
func constants(t *testing.T, path, prefix string) []string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && s != "" {
				out = append(out, s)
			}
		}
		return true
	})
	return out
}

func TestDatesNumbersAndSizesAreWrittenAsEachLanguageDoes(t *testing.T) {
	at := time.Date(2027, time.March, 31, 22, 30, 0, 0, time.UTC) // already 1 April in Brussels
	for _, c := range []struct {
		lang                        custody.Language
		day, minute, number, amount string
	}{
		{custody.English, "1 April 2027", "2027-04-01 00:30+02:00", "2,000,398,934,016", "2.0\u00a0TB"},
		{custody.Dutch, "1 april 2027", "2027-04-01 00:30+02:00", "2.000.398.934.016", "2,0\u00a0TB"},
		{custody.French, "1er avril 2027", "2027-04-01 00:30+02:00", "2\u00a0000\u00a0398\u00a0934\u00a0016", "2,0\u00a0To"},
		{custody.German, "1. April 2027", "2027-04-01 00:30+02:00", "2.000.398.934.016", "2,0\u00a0TB"},
	} {
		l, err := newLocale(Head{Language: c.lang, Zone: "Europe/Brussels"})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{l.day(at), l.minute(at), l.number(2_000_398_934_016), l.size(2_000_398_934_016)}
		if diff := cmp.Diff([]string{c.day, c.minute, c.number, c.amount}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.lang, diff)
		}
		for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", -12: "-12"} {
			if got := l.number(n); got != want {
				t.Errorf("%s: %d is written %q", c.lang, n, got)
			}
		}
	}
}

func TestParseLanguageTakesLocales(t *testing.T) {
	for in, want := range map[string]custody.Language{
		"nl": "nl", "nl_BE.UTF-8": "nl", "fr-BE": "fr", "de_DE@euro": "de", "EN": "en", "en.UTF-8": "en",
		"": "", "C": "", "es_ES": "", "nlx": "",
	} {
		got, err := ParseLanguage(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
