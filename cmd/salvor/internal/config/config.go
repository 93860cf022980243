// Package config reads what a shop has settled once: who it is, how long it keeps
// images, which vault it uses. And it finds the directory in which a station lives.
//
// The rule to keep in mind: a setting comes from a flag, else from a SALVOR_*
// variable, else from config.toml, else from the default ([Setting]). A file is read
// strictly: an unknown key is an error with its line, because a misspelt setting that
// is silently ignored is a promise that is not kept. Nothing here holds a secret.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // a bench may lack the zone files, and papers need the shop's zone
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// System is the configuration that all stations on a machine share; a station's own
// config.toml is read after it and wins key by key.
const System = "/etc/salvor/config.toml"

// FileName is the name of a station's own configuration in its state directory.
const FileName = "config.toml"

// maxFile bounds a configuration file, in bytes.
const maxFile = 64 << 10

// Errors that a caller decides on.
var (
	// ErrNone: none of the files exists; the station was never set up.
	ErrNone = fmt.Errorf("no configuration: %w", fs.ErrNotExist)
	// ErrPermissions: others could have written the file, or read the state directory.
	ErrPermissions = errors.New("unsafe permissions")
	// ErrOwner: it is another user's. It is an ErrPermissions too.
	ErrOwner = fmt.Errorf("another user's: %w", ErrPermissions)
	// ErrNotDir: the state directory is a link or a file. It is an ErrPermissions too.
	ErrNotDir = fmt.Errorf("not a directory of its own: %w", ErrPermissions)
	// ErrExists: Write never replaces a configuration.
	ErrExists = fmt.Errorf("configuration: %w", fs.ErrExist)
)

// Config is what config.toml holds.
type Config struct {
	Shop      Shop      `toml:"shop"`
	Retention Retention `toml:"retention"`
	Image     Image     `toml:"image"`

	// Files are the files that were read, in the order in which they were.
	Files []string `toml:"-"`
}

// Shop is the company as its papers show it.
type Shop struct {
	Name          string `toml:"name"`           // required
	Address       string `toml:"address"`        // one line
	CompanyNumber string `toml:"company_number"` // as the register writes it
	DPO           string `toml:"dpo"`            // data protection officer or contact; required, printed on every paper
	Language      string `toml:"language"`       // nl, fr, de or en: of papers whose customer has none
	Timezone      string `toml:"timezone"`       // name in the zone database: "Europe/Brussels"

	Phone string   `toml:"phone"` // of the shop, for its customers
	Email string   `toml:"email"`
	Logo  string   `toml:"logo"`  // path of a PNG or JPEG, absolute; empty: none
	Notes []string `toml:"notes"` // the shop's own words at the end of every paper, at most MaxNotes
}

// MaxNotes is how many notes a shop can have on its papers: they stand on every page.
const MaxNotes = 4

// Zone returns the shop's time zone. A Config that Load returned has a valid one.
func (s Shop) Zone() *time.Location {
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Retention is how long the shop keeps an image.
type Retention struct {
	// Default is the period of a case opened without --keep: "90d", "6w", "3m". It is
	// read when a case is opened; changing it makes nothing due.
	Default string `toml:"default"`
}

// Image is what the image command uses when no flag says otherwise.
type Image struct {
	Vault string `toml:"vault"` // the label of the vault; empty: the only one there is
	// Keystore is the label of another vault that keeps a second copy of every key;
	// empty: none.
	Keystore string `toml:"keystore"`
}

// Default returns the settings that hold where no file says otherwise.
func Default() Config {
	return Config{
		Shop:      Shop{Language: "nl", Timezone: "Europe/Brussels"},
		Retention: Retention{Default: "90d"},
	}
}

// Load reads the files that exist among paths, a later one overriding an earlier key
// by key, and checks the result. It returns [ErrNone] when none exists,
// [ErrPermissions] when somebody else than root and this user could have written one,
// and an [*Error] with file and line for anything wrong in one.
func Load(paths ...string) (Config, error) {
	c := Default()
	var texts []string
	for _, path := range paths {
		text, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Config{}, err
		}
		if err := decode(path, text, &c); err != nil {
			return Config{}, err
		}
		c.Files, texts = append(c.Files, path), append(texts, text)
	}
	if len(c.Files) == 0 {
		return Config{}, ErrNone
	}
	if err := c.check(texts); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Parse reads one configuration from text; file names it in errors.
func Parse(file, text string) (Config, error) {
	c := Default()
	if err := decode(file, text, &c); err != nil {
		return Config{}, err
	}
	c.Files = []string{file}
	if err := c.check([]string{text}); err != nil {
		return Config{}, err
	}
	return c, nil
}

// read returns the text of one file after checking, on the open descriptor, that
// nobody else could have written it.
func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", fmt.Errorf("configuration %s: %w", path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", fmt.Errorf("configuration %s: not a regular file", path)
	case st.Mode&0o022 != 0:
		return "", fmt.Errorf("configuration %s: others can write it (mode %04o): %w", path, st.Mode&0o777, ErrPermissions)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return "", fmt.Errorf("configuration %s: it belongs to another user (uid %d): %w", path, st.Uid, ErrOwner)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("configuration %s: %w", path, err)
	}
	if len(text) > maxFile {
		return "", fmt.Errorf("configuration %s: larger than 64 KiB", path)
	}
	return string(text), nil
}

// check judges the whole. texts are the contents of c.Files, for the line of a fault.
func (c *Config) check(texts []string) error {
	for _, v := range []struct {
		key, value string
		required   string
	}{
		{"shop.name", c.Shop.Name, "the shop's name stands on every paper"},
		{"shop.dpo", c.Shop.DPO, "a data protection officer or contact stands on every paper"},
		{"shop.address", c.Shop.Address, ""},
		{"shop.company_number", c.Shop.CompanyNumber, ""},
		{"shop.phone", c.Shop.Phone, ""},
		{"shop.email", c.Shop.Email, ""},
		{"image.vault", c.Image.Vault, ""},
		{"image.keystore", c.Image.Keystore, ""},
	} {
		switch {
		case v.required != "" && strings.TrimSpace(v.value) == "":
			return c.fault(texts, v.key, "missing: "+v.required)
		case utf8.RuneCountInString(v.value) > 200:
			return c.fault(texts, v.key, "longer than 200 characters")
		case !utf8.ValidString(v.value) || strings.ContainsFunc(v.value, unprintable):
			return c.fault(texts, v.key, "holds a control character")
		}
	}
	if err := c.checkLooks(texts); err != nil {
		return err
	}
	switch c.Shop.Language {
	case "nl", "fr", "de", "en":
	default:
		return c.fault(texts, "shop.language", "must be nl, fr, de or en")
	}
	if _, err := time.LoadLocation(c.Shop.Timezone); err != nil || c.Shop.Timezone == "" || c.Shop.Timezone == "Local" {
		return c.fault(texts, "shop.timezone", `unknown time zone; write it as "Europe/Brussels"`)
	}
	if err := checkPeriod(c.Retention.Default); err != nil {
		return c.fault(texts, "retention.default", err.Error())
	}
	return nil
}

// checkLooks judges what the papers show beside the shop's name. Whether the logo can
// be read is found out when a paper is printed.
func (c *Config) checkLooks(texts []string) error {
	for _, v := range append([]string{c.Shop.Logo}, c.Shop.Notes...) {
		if !utf8.ValidString(v) || strings.ContainsFunc(v, unprintable) {
			return c.fault(texts, "shop", "the logo's path or a note holds a control character")
		}
	}
	if c.Shop.Logo != "" && !filepath.IsAbs(c.Shop.Logo) {
		return c.fault(texts, "shop.logo", "must be an absolute path")
	}
	if len(c.Shop.Notes) > MaxNotes {
		return c.fault(texts, "shop.notes", fmt.Sprintf("more than %d notes", MaxNotes))
	}
	for _, n := range c.Shop.Notes {
		if strings.TrimSpace(n) == "" || utf8.RuneCountInString(n) > 300 {
			return c.fault(texts, "shop.notes", "each note has from 1 to 300 characters")
		}
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) && r != '\u00a0' && r != '\u202f' }

// Write stores c at path for a station that is being set up: mode 0600, whole or not
// at all, durable when it returns. It returns [ErrExists] when path is there.
func Write(path string, c Config) error {
	text, err := c.Encode()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return ErrExists
	}
	// A rename leaves the old blocks behind; there are none, and nothing in here is secret.
	if err := renameio.WriteFile(path, []byte(text), 0o600, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600)); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	// The rename is durable only when the directory is: fsync(2), under "Calling fsync()".
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Encode returns the text of a configuration file that Parse reads back as c.
func (c Config) Encode() (string, error) {
	if err := c.check(nil); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The settings of this station. Unknown keys are errors. Never put a secret in here.\n")
	fmt.Fprintf(&b, "\n[shop] # as the papers show it\n")
	fmt.Fprintf(&b, "name           = %s\n", quote(c.Shop.Name))
	fmt.Fprintf(&b, "address        = %s\n", quote(c.Shop.Address))
	fmt.Fprintf(&b, "company_number = %s\n", quote(c.Shop.CompanyNumber))
	fmt.Fprintf(&b, "dpo            = %s # data protection officer or contact; required\n", quote(c.Shop.DPO))
	fmt.Fprintf(&b, "language       = %s # nl, fr, de or en: papers of a customer without a language\n", quote(c.Shop.Language))
	fmt.Fprintf(&b, "timezone       = %s\n", quote(c.Shop.Timezone))
	fmt.Fprintf(&b, "phone          = %s\n", quote(c.Shop.Phone))
	fmt.Fprintf(&b, "email          = %s\n", quote(c.Shop.Email))
	fmt.Fprintf(&b, "logo           = %s # PNG or JPEG, absolute path; empty: none\n", quote(c.Shop.Logo))
	var notes []string
	for _, n := range c.Shop.Notes {
		notes = append(notes, quote(n))
	}
	fmt.Fprintf(&b, "notes          = [%s] # your own words at the end of every paper\n", strings.Join(notes, ", "))
	fmt.Fprintf(&b, "\n[retention]\n")
	fmt.Fprintf(&b, "default = %s # from the first image; a change makes no open case due\n", quote(c.Retention.Default))
	fmt.Fprintf(&b, "\n[image]\n")
	fmt.Fprintf(&b, "vault = %s # label of the vault; empty: the only one there is\n", quote(c.Image.Vault))
	fmt.Fprintf(&b, "keystore = %s # label of another vault that keeps a second copy of every key; empty: none\n", quote(c.Image.Keystore))
	return b.String(), nil
}

// quote writes s as a TOML basic string. s holds no control characters.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// decode reads text over c and refuses what it does not know.
func decode(file, text string, c *Config) error {
	meta, err := toml.Decode(text, c)
	if err != nil {
		return syntax(file, err)
	}
	if len(c.Shop.Notes) == 0 {
		c.Shop.Notes = nil
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		// The first in the file: Undecoded keeps the order of the file.
		return &Error{File: file, Line: lineOf(text, unknown[0]), Key: unknown[0].String(), Why: "unknown key"}
	}
	// TOML keys are case-sensitive, but the decoder takes "Name" for "name".
	for _, key := range meta.Keys() {
		if s := key.String(); s != strings.ToLower(s) {
			return &Error{File: file, Line: lineOf(text, key), Key: s, Why: "unknown key"}
		}
	}
	return nil
}
