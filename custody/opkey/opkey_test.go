package opkey

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

const (
	testShop = "01kb0f4vy9v3qk3y8m6t2r7w5z"
	testOp   = "op-7f3a"
	event    = `{"v":1,"id":"01KB0F4VY9V3QK3Y8M6T2R7W5Z"}` + "\n"
)

// running serves an agent over a pipe, as a real one is reached over a socket.
func running(t *testing.T, keyring agent.Agent) *Agent {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); _ = agent.ServeAgent(keyring, there) }()
	t.Cleanup(func() { here.Close(); there.Close(); <-done })
	return Over(agent.NewClient(here))
}

// secrets are private keys of each kind that an agent can hold.
func secrets(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	list := make(map[string]crypto.Signer)
	var err error
	if _, list["ed25519"], err = ed25519Key(); err != nil {
		t.Fatal(err)
	}
	for name, curve := range map[string]elliptic.Curve{"ecdsa-256": elliptic.P256(), "ecdsa-384": elliptic.P384(), "ecdsa-521": elliptic.P521()} {
		if list[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if list["rsa"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	return list
}

func ed25519Key() (ed25519.PublicKey, crypto.Signer, error) {
	public, secret, err := ed25519.GenerateKey(rand.Reader)
	return public, secret, err
}

func keyOf(t *testing.T, secret crypto.Signer) *Key {
	t.Helper()
	public, err := ssh.NewPublicKey(secret.Public())
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(testShop, testOp, public)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// opens checks a note with the text of the key alone, as another station does.
func opens(t *testing.T, k *Key, msg []byte) {
	t.Helper()
	again, err := Parse(k.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(msg, note.VerifierList(again))
	if err != nil || len(n.Sigs) != 1 || n.Text != event || n.Sigs[0].Name != "salvor-op/"+testShop+"/"+testOp {
		t.Fatalf("%+v %v", n, err)
	}
}

func TestAnAgentSignsWithEveryKindOfKey(t *testing.T) {
	for name, secret := range secrets(t) {
		keyring := agent.NewKeyring()
		a := running(t, keyring)
		k := keyOf(t, secret)
		if _, err := a.Signer(k); !errors.Is(err, ErrNotThere) {
			t.Errorf("%s: before it is added: %v", name, err)
		}
		if err := keyring.Add(agent.AddedKey{PrivateKey: secret}); err != nil {
			t.Fatal(err)
		}
		if keys, err := a.Keys(); err != nil || len(keys) != 1 || !k.Is(keys[0]) {
			t.Errorf("%s: %v %v", name, keys, err)
		}
		s, err := a.Signer(k)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := note.Sign(&note.Note{Text: event}, s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		opens(t, k, msg)
		if k.Token() || k.Kind(false) != custody.KeyAgent || k.Kind(true) != custody.KeyFile {
			t.Errorf("%s: kind", name)
		}
		if err := keyring.Lock([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign([]byte(event)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: a locked agent: %v", name, err)
		}
	}
}

// The text of a key is what an event may hold, and has one spelling.
func TestTextOfAKeyIsBoundToItsAlgorithm(t *testing.T) {
	for name, secret := range secrets(t) {
		k := keyOf(t, secret)
		text := k.String()
		e := custody.Event{
			ID: "01KB0F4VY9V3QK3Y8M6T2R7W5Z", Station: "T1", Seq: 1, TS: custody.At(time.Unix(1e9, 0)), Op: testOp,
			Pub: custody.OperatorKeyAdded{Op: testOp, Key: k.ID(), Kind: custody.KeyAgent, Verifier: text},
		}
		if _, err := e.Encode(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, bad := range []string{
			"", text + "=", text[:len(text)-4], strings.Replace(text, testOp, "op-0002", 1), strings.Replace(text, "salvor-op", "salvor", 1),
			strings.Replace(text, "+", "++", 1), strings.ToUpper(text), " " + text,
		} {
			if _, err := Parse(bad); !errors.Is(err, ErrKey) {
				t.Errorf("%s: %q: %v", name, bad, err)
			}
		}
	}
	// One key that could sign in two ways has two hashes.
	k := keyOf(t, secrets(t)["rsa"])
	other := &Key{name: k.name, public: k.public, way: ssh.KeyAlgoRSASHA256}
	if bytes.Equal(k.material(), other.material()) {
		t.Error("the way of signing is not part of the key")
	}
}

func TestWeakAndForeignKeysAreRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this machine makes no weak keys: ", err)
	}
	public, err := ssh.NewPublicKey(small.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(testShop, testOp, public); !errors.Is(err, ErrKey) {
		t.Errorf("RSA of 1024 bits: %v", err)
	}
	_, secret, _ := ed25519Key()
	signer, _ := ssh.NewSignerFromKey(secret)
	certificate := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	if _, err := New(testShop, testOp, certificate); !errors.Is(err, ErrKey) {
		t.Errorf("a certificate: %v", err)
	}
	for _, name := range [][2]string{{"shop", testOp}, {testShop, "jan"}, {testShop + "/x", testOp}} {
		if _, err := New(name[0], name[1], signer.PublicKey()); !errors.Is(err, ErrKey) {
			t.Errorf("%v: %v", name, err)
		}
	}
}

// What was signed for something else, or looks a little different, is no
// signature of an event.
func TestVerifyIsStrict(t *testing.T) {
	_, secret, _ := ed25519Key()
	k := keyOf(t, secret)
	signer, _ := ssh.NewSignerFromKey(secret)
	msg := []byte(event)
	sign := func(data []byte) *ssh.Signature {
		sig, err := signer.Sign(rand.Reader, data)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	good, err := k.pack(msg, sign(signed(msg)))
	if err != nil || !k.Verify(msg, good) {
		t.Fatal(err)
	}
	with := func(change func(*blob)) []byte {
		var b blob
		if err := ssh.Unmarshal(good[len(magic):], &b); err != nil {
			t.Fatal(err)
		}
		change(&b)
		return append([]byte(magic), ssh.Marshal(b)...)
	}
	inNamespace := func(ns string) []byte {
		sum := sha256.Sum256(msg)
		return append([]byte(magic), ssh.Marshal(toSign{ns, "", "sha256", sum[:]})...)
	}
	_, otherSecret, _ := ed25519Key()
	for name, sig := range map[string][]byte{
		"nothing":         nil,
		"magic alone":     []byte(magic),
		"no magic":        good[len(magic):],
		"cut":             good[:len(good)-1],
		"longer":          append(bytes.Clone(good), 0),
		"version":         with(func(b *blob) { b.Version = 2 }),
		"namespace":       with(func(b *blob) { b.Namespace = "git" }),
		"reserved":        with(func(b *blob) { b.Reserved = "x" }),
		"hash":            with(func(b *blob) { b.HashName = "sha256" }),
		"other key":       with(func(b *blob) { b.Key = keyOf(t, otherSecret).public.Marshal() }),
		"login signature": with(func(b *blob) { b.Signature = ssh.Marshal(*sign(msg)) }),
		"other namespace": with(func(b *blob) { b.Signature = ssh.Marshal(*sign(inNamespace("file"))) }),
		"other hash":      with(func(b *blob) { b.Signature = ssh.Marshal(*sign(inNamespace(namespace))) }),
		"rest":            with(func(b *blob) { b.Signature = append(b.Signature, 1) }),
		"format": with(func(b *blob) {
			s := sign(signed(msg))
			s.Format = ssh.KeyAlgoSKED25519
			b.Signature = ssh.Marshal(*s)
		}),
	} {
		if k.Verify(msg, sig) {
			t.Errorf("%s was accepted", name)
		}
	}
	if k.Verify([]byte(event+" "), good) {
		t.Error("another event")
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if k.Verify(msg, bad) {
			t.Errorf("byte %d does not matter", i)
		}
	}
}

// A token is a FIDO token as the protocol describes it, in software.
type token struct {
	agent.ExtendedAgent
	secret  ed25519.PrivateKey
	touched bool
	rest    []byte // overrides flags and counter
}

func (f token) blob() []byte {
	return ssh.Marshal(struct{ Name, Key, Application string }{ssh.KeyAlgoSKED25519, string(f.secret.Public().(ed25519.PublicKey)), "ssh:"})
}

func (f token) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: ssh.KeyAlgoSKED25519, Blob: f.blob()}, {Format: "future@example.com", Blob: []byte{1}}}, nil
}

func (f token) SignWithFlags(_ ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	flags := byte(0)
	if f.touched {
		flags = userPresent
	}
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	counter := binary.BigEndian.AppendUint32(nil, 7)
	signedData := append(append(append(application[:], flags), counter...), message[:]...)
	rest := append([]byte{flags}, counter...)
	if f.rest != nil {
		rest = f.rest
	}
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(f.secret, signedData), Rest: rest}, nil
}

func TestATokenMustBeTouched(t *testing.T) {
	_, secret, _ := ed25519Key()
	f := token{secret: secret.(ed25519.PrivateKey), touched: true}
	a := Over(f)
	keys, err := a.Keys()
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v %v", keys, err)
	}
	k, err := New(testShop, testOp, keys[0])
	if err != nil || !k.Token() || k.Kind(false) != custody.KeyToken {
		t.Fatalf("%v", err)
	}
	s, err := a.Signer(k)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := note.Sign(&note.Note{Text: event}, s)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, k, msg)
	for name, bad := range map[string]token{
		"not touched":          {secret: f.secret},
		"touched only in rest": {secret: f.secret, rest: []byte{userPresent, 0, 0, 0, 7}},
		"no rest":              {secret: f.secret, touched: true, rest: []byte{}},
		"more rest":            {secret: f.secret, touched: true, rest: []byte{userPresent, 0, 0, 0, 7, 0}},
	} {
		s, err := Over(bad).Signer(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign([]byte(event)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// written puts a private key into a file as ssh-keygen does.
func written(t *testing.T, secret crypto.Signer, passphrase string) string {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(secret, "jan@bench")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(secret, "jan@bench", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// asked answers with a passphrase and counts.
type asked struct {
	answer string
	err    error
	times  int
	given  [][]byte
}

func (a *asked) ask() ([]byte, error) {
	a.times++
	p := []byte(a.answer)
	a.given = append(a.given, p)
	return p, a.err
}

func TestAFileStaysUnlockedForFiveMinutes(t *testing.T) {
	now := time.Unix(1e9, 0)
	for name, secret := range secrets(t) {
		k := keyOf(t, secret)
		a := &asked{answer: "correct horse"}
		f := NewFile(k, written(t, secret, a.answer), a.ask, func() time.Time { return now })
		steps := []struct {
			wait  time.Duration
			times int
		}{{0, 1}, {UnlockedFor - time.Second, 1}, {time.Second, 2}, {6 * time.Minute, 3}, {-time.Hour, 4}}
		if name != "ed25519" {
			steps = steps[:2] // unlocking is slow on purpose
		}
		for _, step := range steps {
			now = now.Add(step.wait)
			msg, err := note.Sign(&note.Note{Text: event}, f)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			opens(t, k, msg)
			if a.times != step.times {
				t.Errorf("%s: after %v asked %d times, want %d", name, step.wait, a.times, step.times)
			}
		}
		unlocked := f.secret
		f.Lock()
		if f.secret != nil {
			t.Errorf("%s: locked, and there", name)
		}
		if p, ok := unlocked.(*ed25519.PrivateKey); ok && !bytes.Equal(*p, make([]byte, ed25519.PrivateKeySize)) {
			t.Errorf("%s: the key is not wiped", name)
		}
		for _, p := range a.given {
			if !bytes.Equal(p, make([]byte, len(p))) {
				t.Errorf("%s: a passphrase is not wiped", name)
			}
		}
	}
}

func TestAFileIsSharedThroughAnAgentOnly(t *testing.T) {
	_, secret, _ := ed25519Key()
	k := keyOf(t, secret)
	a := &asked{answer: "correct horse"}
	f := NewFile(k, written(t, secret, a.answer), a.ask, func() time.Time { return time.Unix(1e9, 0) })
	got := &lifetimes{Agent: agent.NewKeyring()}
	running := running(t, got)
	if err := f.Share(running); err != nil {
		t.Fatal(err)
	}
	if f.secret != nil || got.seconds != 300 {
		t.Errorf("kept %v, for %d seconds", f.secret != nil, got.seconds)
	}
	s, err := running.Signer(k)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := note.Sign(&note.Note{Text: event}, s)
	if err != nil || a.times != 1 {
		t.Fatalf("%v, asked %d times", err, a.times)
	}
	opens(t, k, msg)
}

// lifetimes remembers how long a key was given.
type lifetimes struct {
	agent.Agent
	seconds uint32
}

func (l *lifetimes) Add(key agent.AddedKey) error {
	l.seconds = key.LifetimeSecs
	return l.Agent.Add(key)
}

func TestKeyFilesAreRefusedForWhatIsWrongWithThem(t *testing.T) {
	_, secret, _ := ed25519Key()
	_, other, _ := ed25519Key()
	k := keyOf(t, secret)
	good := written(t, secret, "secret")
	exposed := written(t, secret, "secret")
	if err := os.Chmod(exposed, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	canceled := errors.New("canceled")
	for name, test := range map[string]struct {
		path  string
		a     asked
		want  error
		times int
	}{
		"wrong passphrase": {good, asked{answer: "x"}, ErrPassphrase, 1},
		"no answer":        {good, asked{err: canceled}, canceled, 1},
		"mode":             {exposed, asked{}, ErrExposed, 0},
		"directory":        {filepath.Dir(good), asked{}, ErrExposed, 0},
		"link":             {link, asked{}, nil, 0},
		"missing":          {good + "x", asked{}, os.ErrNotExist, 0},
		"text":             {text, asked{}, ErrKey, 0},
		"no passphrase":    {written(t, secret, ""), asked{}, ErrNoPassphrase, 0},
		"other key":        {written(t, other, "secret"), asked{answer: "secret"}, ErrOtherKey, 0},
	} {
		f := NewFile(k, test.path, test.a.ask, func() time.Time { return time.Unix(1e9, 0) })
		_, err := f.Sign([]byte(event))
		if err == nil || test.want != nil && !errors.Is(err, test.want) || test.a.times != test.times {
			t.Errorf("%s: %v, asked %d times", name, err, test.a.times)
		}
	}
	if public, err := ReadPublic(good); err != nil || !k.Is(public) {
		t.Errorf("%v", err)
	}
}

func TestNoAgentAnswers(t *testing.T) {
	for _, socket := range []string{"", filepath.Join(t.TempDir(), "none")} {
		if _, err := Dial(t.Context(), socket); !errors.Is(err, ErrNoAgent) {
			t.Errorf("%q: %v", socket, err)
		}
	}
	// An agent that never answers is left when the command ends.
	socket := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	a, err := Dial(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	cancel()
	if _, err := a.Keys(); !errors.Is(err, ErrNoAgent) {
		t.Errorf("%v", err)
	}
}

// ssh-keygen itself makes the keys and checks the signature, in the namespace
// and no other.
func TestOpenSSHAgrees(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "id")
		if out, err := exec.Command(keygen, "-q", "-a", "1", "-t", kind, "-N", "correct horse", "-C", "jan", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", kind, err, out)
		}
		public, err := ReadPublic(path)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		k, err := New(testShop, testOp, public)
		if err != nil {
			t.Fatal(err)
		}
		a := &asked{answer: "correct horse"}
		sig, err := NewFile(k, path, a.ask, func() time.Time { return time.Unix(1e9, 0) }).Sign([]byte(event))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		armored := pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: sig})
		allowed := append([]byte("jan "), ssh.MarshalAuthorizedKey(public)...)
		for name, content := range map[string][]byte{"sig": armored, "allowed": allowed} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for namespace, good := range map[string]bool{"salvor-event": true, "file": false} {
			cmd := exec.Command(keygen, "-Y", "verify", "-f", filepath.Join(dir, "allowed"), "-I", "jan", "-n", namespace, "-s", filepath.Join(dir, "sig"))
			cmd.Stdin = strings.NewReader(event)
			if out, err := cmd.CombinedOutput(); (err == nil) != good {
				t.Errorf("%s in %s: %v %s", kind, namespace, err, out)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	_, secret, _ := ed25519Key()
	signer, _ := ssh.NewSignerFromKey(secret)
	k, err := New(testShop, testOp, signer.PublicKey())
	if err != nil {
		f.Fatal(err)
	}
	sig, _ := signer.Sign(rand.Reader, signed([]byte(event)))
	good, err := k.pack([]byte(event), sig)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(event), good)
	f.Add([]byte(event), []byte(magic))
	f.Add([]byte(""), good[:20])
	f.Fuzz(func(t *testing.T, msg, sig []byte) {
		if k.Verify(msg, sig) && (string(msg) != event || !bytes.Equal(sig, good)) {
			t.Errorf("accepted %q over %q", sig, msg)
		}
	})
}

func FuzzParse(f *testing.F) {
	_, secret, _ := ed25519Key()
	signer, _ := ssh.NewSignerFromKey(secret)
	k, err := New(testShop, testOp, signer.PublicKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.String())
	f.Add("salvor-op/" + testShop + "/" + testOp + "+00000000+/w==")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := Parse(text); err == nil && k.String() != text {
			t.Errorf("%q came back as %q", text, k)
		}
	})
}
