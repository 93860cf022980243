package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

// sshKey is a private key file and the public key without a comment.
func sshKey(t testing.TB, key any, public any, passphrase string) (file []byte, line string) {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "somebody@bench")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "somebody@bench", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
}

func ed25519Key(t testing.TB, passphrase string) (file []byte, line string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sshKey(t, private, public, passphrase)
}

func rsaKey(t testing.TB, passphrase string) (file []byte, line string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return sshKey(t, private, &private.PublicKey, passphrase)
}

func TestSSHKeysOpenImages(t *testing.T) {
	const passphrase = "bilo dufe gike"
	want := source(200<<10, 71)
	for name, tt := range map[string]struct {
		key        func(testing.TB, string) ([]byte, string)
		passphrase string
	}{
		"ed25519":            {ed25519Key, ""},
		"ed25519, protected": {ed25519Key, passphrase},
		"rsa":                {rsaKey, ""},
		"rsa, protected":     {rsaKey, passphrase},
	} {
		t.Run(name, func(t *testing.T) {
			file, line := tt.key(t, tt.passphrase)
			r, err := vault.ParseRecipient(line)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(r); got != line {
				t.Errorf("%q reads as %q", line, got)
			}
			mem := storetest.NewMemory()
			o := new(witness).options()
			o.Recipients = []age.Recipient{r, theBench().spare.Recipient()}
			w, err := vault.Start(t.Context(), mem, mem, ref, small(int64(len(want))), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := vault.Protected(file); got != (tt.passphrase != "") {
				t.Errorf("protected: %v", got)
			}
			asked := 0
			ids, err := vault.ReadIdentities(bytes.NewReader(file), func() (string, error) {
				asked++
				return tt.passphrase, nil
			})
			if err != nil || (asked > 0) != (tt.passphrase != "") || asked > 1 {
				t.Fatalf("asked %d times: %v", asked, err)
			}
			_, reader := unlock(t, mem, mem, ids...)
			got := make([]byte, len(want))
			if _, err := reader.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
				t.Errorf("content: %v", err)
			}
			stranger, _ := tt.key(t, "")
			ids, err = vault.ReadIdentities(bytes.NewReader(stranger), nil)
			if err != nil {
				t.Fatal(err)
			}
			c, err := vault.OpenImage(t.Context(), mem, ref)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Unlock(t.Context(), mem, ids...); !errors.Is(err, vault.ErrWrongKey) {
				t.Errorf("a stranger's key: %v", err)
			}
			if tt.passphrase == "" {
				return
			}
			for _, ask := range []func() (string, error){
				nil,
				func() (string, error) { return "", nil },
				func() (string, error) { return "not this one", nil },
			} {
				if _, err := vault.ReadIdentities(bytes.NewReader(file), ask); !errors.Is(err, vault.ErrWrongKey) {
					t.Errorf("wrong passphrase: %v", err)
				}
			}
			if _, err := vault.ReadIdentities(bytes.NewReader(file), func() (string, error) { return "", errPower }); !errors.Is(err, errPower) {
				t.Errorf("no passphrase: %v", err)
			}
		})
	}
}

func TestTheSameSSHKeyTwiceIsOneRecipient(t *testing.T) {
	for _, key := range []func(testing.TB, string) ([]byte, string){ed25519Key, rsaKey} {
		_, line := key(t, "")
		var twice []age.Recipient
		for range 2 {
			r, err := vault.ParseRecipient(line)
			if err != nil {
				t.Fatal(err)
			}
			twice = append(twice, r)
		}
		raw, err := agessh.ParseRecipient(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, rs := range [][]age.Recipient{twice, {twice[0], raw}, {raw, raw}} {
			mem := storetest.NewMemory()
			o := theBench().options()
			o.Recipients = rs
			if _, err := vault.Start(t.Context(), mem, mem, ref, small(1<<20), o); !errors.Is(err, vault.ErrRecipients) {
				t.Errorf("%T and %T: %v", rs[0], rs[1], err)
			}
		}
	}
}

func TestSSHKeysThatCannotServeAreRefused(t *testing.T) {
	_, line := ed25519Key(t, "")
	kind, blob, _ := strings.Cut(line, " ")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err)
	}
	shortFile, shortLine := sshKey(t, short, &short.PublicKey, "")
	for _, s := range []string{
		line + " somebody@bench", line + " ", line + "\n", kind + "  " + blob, "ssh-rsa " + blob, kind + " AAAA", kind + " ",
		kind + " " + blob[:len(blob)-8], shortLine, "sk-ssh-ed25519@openssh.com " + blob, `command="x" ` + line,
		"ssh-ed25519 " + strings.Repeat("A", 1<<20),
	} {
		if _, err := vault.ParseRecipient(s); !errors.Is(err, vault.ErrForeign) {
			t.Errorf("%.60q: %v", s, err)
		} else if strings.Contains(err.Error(), "somebody") {
			t.Errorf("the comment is repeated: %v", err)
		}
	}
	file, _ := ed25519Key(t, "")
	for name, f := range map[string][]byte{
		"short RSA": shortFile,
		"cut":       file[:len(file)/2],
		"empty":     []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n"),
		"enormous":  append(bytes.Clone(file), make([]byte, 64<<10)...),
	} {
		if ids, err := vault.ReadIdentities(bytes.NewReader(f), nil); !errors.Is(err, vault.ErrForeign) {
			t.Errorf("%s: %d identities, %v", name, len(ids), err)
		}
	}
}

func FuzzReadIdentities(f *testing.F) {
	open, _ := ed25519Key(f, "")
	f.Add(open)
	f.Add([]byte("AGE-SECRET-KEY-1\n"))
	f.Add([]byte("-----BEGIN AGE ENCRYPTED FILE-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		vault.Protected(file)
		ids, err := vault.ReadIdentities(bytes.NewReader(file), nil)
		if err == nil && len(ids) == 0 {
			t.Error("no identities and no error")
		}
		if err != nil && !errors.Is(err, vault.ErrForeign) && !errors.Is(err, vault.ErrWrongKey) {
			t.Error(err)
		}
	})
}
