package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

const good = `[shop]
name = "PC-Werkplaats"
dpo = "dpo@pc-werkplaats.example"

[retention]
default = "6w"
`

func TestAnErrorNamesFileLineAndKey(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":              {good + "[image]\nvalut = \"nas1\"\n", `c.toml:8: "image.valut": unknown key`},
		"unknown table":            {good + "[imge]\nvault = \"nas1\"\n", `c.toml:7: "imge": unknown key`},
		"the first of several":     {"colour = 1\n" + good + "[zzz]\n", `c.toml:1: "colour": unknown key`},
		"dotted":                   {good + "image.vualt = 1\n", `c.toml:7: "retention.image.vualt": unknown key`},
		"other case":               {strings.Replace(good, "name", "Name", 1), `c.toml:2: "shop.Name": unknown key`},
		"syntax":                   {good + "what is this\n", `c.toml:7: `},
		"twice":                    {good + "default = \"7w\"\n", `c.toml:7: "retention.default": `},
		"wrong type":               {strings.Replace(good, `"6w"`, "6", 1), `c.toml:6: "retention.default": incompatible types`},
		"a list for a table":       {"[[shop]]\nname = \"x\"\n", `c.toml:1: "shop": `},
		"no dpo":                   {"[shop]\nname = \"x\"\n", `c.toml: "shop.dpo": missing`},
		"empty dpo":                {"[shop]\nname = \"x\"\ndpo = \" \"\n", `c.toml:3: "shop.dpo": missing`},
		"no name":                  {"[shop]\ndpo = \"x\"\n", `c.toml: "shop.name": missing`},
		"nothing":                  {"", `c.toml: "shop.name": missing`},
		"language":                 {strings.Replace(good, "\n\n", "\nlanguage = \"es\"\n\n", 1), `c.toml:4: "shop.language": must be nl, fr, de or en`},
		"timezone":                 {strings.Replace(good, "\n\n", "\ntimezone = \"Brussel\"\n\n", 1), `c.toml:4: "shop.timezone": unknown time zone`},
		"local timezone":           {strings.Replace(good, "\n\n", "\ntimezone = \"Local\"\n\n", 1), `c.toml:4: "shop.timezone": unknown time zone`},
		"timezone outside":         {strings.Replace(good, "\n\n", "\ntimezone = \"../../etc/passwd\"\n\n", 1), `c.toml:4: "shop.timezone": unknown time zone`},
		"a date for a period":      {strings.Replace(good, "6w", "2027-03-01", 1), `c.toml:6: "retention.default": must be a period`},
		"a year and a day":         {strings.Replace(good, "6w", "366d", 1), `c.toml:6: "retention.default": longer than one calendar year`},
		"control character":        {strings.Replace(good, "PC-", "PC\\u001b[2J", 1), `c.toml:2: "shop.name": holds a control character`},
		"direction of reading":     {strings.Replace(good, "PC-", "PC\\u202e", 1), `c.toml:2: "shop.name": holds a control character`},
		"too long":                 {strings.Replace(good, "PC-", strings.Repeat("x", 200), 1), `c.toml:2: "shop.name": longer than 200 characters`},
		"a key that is no tag":     {good + "\"we,ird\" = 1\n", `"retention.\"we,ird\"": unknown key`},
		"a secret has no place":    {good + "[key]\npassphrase = \"x\"\n", `c.toml:7: "key": unknown key`},
		"unknown deep in a table":  {good + "[image]\nvault = \"x\"\n[image.more.and]\nmore = 1\n", `c.toml:`},
		"an array among the keys":  {good + "[[image.list]]\na = 1\n", `"image.list": unknown key`},
		"a value over many lines":  {strings.Replace(good, "\n\n", "\nlanguage = \"\"\"\nes\"\"\"\n\n", 1), `c.toml:5: "shop.language": `},
		"not UTF-8":                {good + "# \xff\n", `c.toml:7: `},
		"a NUL":                    {good + "# \x00\n", `c.toml:7: `},
		"an inline table":          {"shop = {name = \"x\", dpo = \"y\", dop = \"z\"}\n", `c.toml:1: "shop.dop": unknown key`},
		"a key in a dotted header": {"shop.name = \"x\"\nshop.dpo = \"y\"\nshop.dop = \"z\"\n", `c.toml:3: "shop.dop": unknown key`},
	} {
		_, err := Parse("c.toml", c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.File != "c.toml" {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestALaterFileWinsKeyByKeyAndDefaultsFillTheRest(t *testing.T) {
	dir := t.TempDir()
	system := write(t, dir, "system.toml", "[shop]\nname = \"Shop\"\ndpo = \"a@x.example\"\nlanguage = \"fr\"\n[image]\nvault = \"nas1\"\n", 0o644)
	own := write(t, dir, "own.toml", "[shop]\ndpo = \"b@x.example\"\n", 0o600)
	c, err := Load(system, filepath.Join(dir, "absent.toml"), own)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Shop = Shop{Name: "Shop", DPO: "b@x.example", Language: "fr", Timezone: "Europe/Brussels"}
	want.Image.Vault = "nas1"
	want.Files = []string{system, own}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c.Shop.Zone().String() != "Europe/Brussels" || c.Retention.Default != "90d" {
		t.Error(c)
	}

	// A fault that the first file holds is named there, although the second was read last.
	system = write(t, dir, "system.toml", "[shop]\nname = \"Shop\"\nlanguage = \"xx\"\n", 0o644)
	_, err = Load(system, own)
	if err == nil || !strings.HasPrefix(err.Error(), system+":3: ") {
		t.Error(err)
	}
}

func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileThatOthersCanWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o444: true, 0o620: false, 0o602: false, 0o666: false} {
		path := write(t, dir, "config.toml", good, mode)
		_, err := Load(path)
		if ok != (err == nil) || !ok && !errors.Is(err, ErrPermissions) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if os.Geteuid() == 0 {
		path := write(t, dir, "config.toml", good, 0o600)
		if err := os.Chown(path, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrPermissions) {
			t.Errorf("another user's file: %v", err)
		}
	}
	if _, err := Load(dir); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Load(write(t, dir, "huge.toml", good+strings.Repeat("#", maxFile), 0o600)); err == nil {
		t.Error("a huge file was read")
	}
}

func TestNoFileAtAllMeansNotSetUp(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "config.toml"))
	if !errors.Is(err, ErrNone) || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestWriteIsReadBackAndNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	c := Default()
	c.Shop = Shop{Name: `"Bo's" \ shop`, Address: "Straat 1", CompanyNumber: "BE 0123", DPO: "dpo", Language: "de", Timezone: "Europe/Berlin"}
	if err := Write(path, c); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got, cmpopts.IgnoreFields(Config{}, "Files")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := Write(path, c); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	c.Shop.DPO = ""
	if err := Write(filepath.Join(t.TempDir(), "c"), c); err == nil {
		t.Error("a configuration without a DPO was written")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestWhatEncodesReadsBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune(`abc é日"\'#=[]{}.,`+"\u00a0")), 1, 40, -1)
		filled := word.Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
		c := Default()
		c.Shop.Name, c.Shop.DPO = filled.Draw(t, "name"), filled.Draw(t, "dpo")
		c.Shop.Address, c.Shop.CompanyNumber, c.Image.Vault = word.Draw(t, "address"), word.Draw(t, "number"), word.Draw(t, "vault")
		c.Shop.Language = rapid.SampledFrom([]string{"nl", "fr", "de", "en"}).Draw(t, "language")
		c.Retention.Default = rapid.SampledFrom([]string{"0d", "90d", "52w", "12m", "36h"}).Draw(t, "keep")
		text, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse("c.toml", text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, got, cmpopts.IgnoreFields(Config{}, "Files")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("[shop]\nname='x'\ndpo=\"\"\"\ny\"\"\"\n[image.a.b]\nc=1\n")
	f.Add("shop.\"na\\u006de\" = 1\n[[a]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("c.toml", text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.File != "c.toml" || e.Line < 0 || e.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("%#v", err)
			}
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse("c.toml", again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASettingComesFromTheStrongestPlace(t *testing.T) {
	env := map[string]string{"SALVOR_VAULT": "from-env", "SALVOR_EMPTY": ""}
	lookup := func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	for name, c := range map[string]struct {
		s     Setting
		value string
		from  Origin
	}{
		"flag":         {Setting{Flag: "f", FlagSet: true, Env: "SALVOR_VAULT", Config: "c", Default: "d"}, "f", FromFlag},
		"empty flag":   {Setting{FlagSet: true, Env: "SALVOR_VAULT", Config: "c", Default: "d"}, "", FromFlag},
		"unset flag":   {Setting{Flag: "f", Env: "SALVOR_VAULT", Config: "c", Default: "d"}, "from-env", FromEnv},
		"empty env":    {Setting{Env: "SALVOR_EMPTY", Config: "c", Default: "d"}, "c", FromConfig},
		"absent env":   {Setting{Env: "SALVOR_ABSENT", Config: "c", Default: "d"}, "c", FromConfig},
		"default":      {Setting{Env: "SALVOR_ABSENT", Default: "d"}, "d", FromDefault},
		"nothing":      {Setting{}, "", FromDefault},
		"no env known": {Setting{Config: "c"}, "c", FromConfig},
	} {
		value, from := c.s.Resolve(lookup)
		if value != c.value || from != c.from {
			t.Errorf("%s: %q from %s", name, value, from)
		}
	}
	if v, _ := (Setting{Env: "SALVOR_VAULT", Default: "d"}).Resolve(nil); v != "d" {
		t.Error(v)
	}
}

func TestStateDirFollowsItsRule(t *testing.T) {
	for name, c := range map[string]struct {
		flag string
		set  bool
		env  map[string]string
		euid int
		want string
	}{
		"flag":             {"/f", true, map[string]string{"SALVOR_STATE": "/e"}, 0, "/f"},
		"variable":         {"", false, map[string]string{"SALVOR_STATE": "/e", "XDG_STATE_HOME": "/x"}, 1000, "/e"},
		"variable, root":   {"", false, map[string]string{"SALVOR_STATE": "/e"}, 0, "/e"},
		"root":             {"", false, map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/root"}, 0, "/var/lib/salvor"},
		"user":             {"", false, map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/home/an"}, 1000, "/x/salvor"},
		"user without XDG": {"", false, map[string]string{"HOME": "/home/an"}, 1000, "/home/an/.local/state/salvor"},
		"relative XDG":     {"", false, map[string]string{"XDG_STATE_HOME": "x", "HOME": "/home/an"}, 1000, "/home/an/.local/state/salvor"},
		"no home":          {"", false, nil, 1000, ""},
		"relative home":    {"", false, map[string]string{"HOME": "home"}, 1000, ""},
		"empty flag":       {"", true, map[string]string{"HOME": "/home/an"}, 1000, ""},
		"untidy":           {"/a/../b/", true, nil, 1000, "/b"},
	} {
		got, err := StateDir(c.flag, c.set, func(k string) (string, bool) { v, ok := c.env[k]; return v, ok }, c.euid)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := StateDir("rel", true, nil, 0); err != nil || !filepath.IsAbs(got) {
		t.Errorf("%q %v", got, err)
	}
}

func TestStateDirIsForOneUserOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "salvor")
	if err := CheckState(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for range 2 {
		if err := MakeState(dir); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o755, 0o710, 0o704, 0o777} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{CheckState(dir), MakeState(dir)} {
			if !errors.Is(err, ErrPermissions) {
				t.Errorf("mode %04o: %v", mode, err)
			}
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	file := write(t, t.TempDir(), "file", "", 0o700)
	for _, bad := range []string{link, file} {
		if err := CheckState(bad); !errors.Is(err, ErrPermissions) {
			t.Errorf("%s: %v", filepath.Base(bad), err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if err := CheckState(dir); !errors.Is(err, ErrPermissions) {
			t.Errorf("another user's directory: %v", err)
		}
	}
}
