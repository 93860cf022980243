package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/report"
	"salvor/wipe"
	"salvor/wipe/device"
)

type reverifyOptions struct{ key string }

func newReverify(p *program) *cobra.Command {
	var o reverifyOptions
	cmd := &cobra.Command{
		Use:   "reverify ATTEST TARGET",
		Short: "compare a wiped disk with its attest, on any machine",
		Long: `Reads a disk, or a file with a copy of it, from its first byte to its last and compares
it with what the attest says was written. It needs no ledger and no secret: the attest
publishes the key of the data that the disk was overwritten with. Nothing is written.

The signature of the attest is checked with --key, the public key of the station that
signed it, as its shop gives it to you. Without it the comparison is made all the same,
and it is said that nobody knows who wrote the attest.`,
		Example: `  salvor reverify attest.note /dev/sdb --key station.pub
  salvor reverify attest.note copy.img`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.reverify(cmd.Context(), args[0], args[1], o)
		},
	}
	cmd.Flags().StringVar(&o.key, "key", "", "public key of the station, or a file that holds it")
	return cmd
}

func (p *program) reverify(ctx context.Context, attest, target string, o reverifyOptions) error {
	a, signer, err := readDeviceAttest(attest, o.key)
	if err != nil {
		return err
	}
	if signer == "" {
		p.term.Warn("the signature was not checked: give the station's public key with --key")
	}
	var key wipe.Key
	if err := key.UnmarshalText([]byte(a.StreamKey)); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	bar := p.term.Progress("reverify", ui.Bytes)
	var mu sync.Mutex
	var done int64
	facts, err := device.Reverify(ctx, target, key, a.Device.Bytes, func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		bar.Set(done, a.Device.Bytes, ui.UnknownRate, "")
	})
	bar.End()
	if errors.Is(err, device.ErrOther) {
		return &ui.Error{Code: ui.VerifyFailed, What: "reverify", Why: err.Error(), Hint: "name the disk that the attest is about", Err: err}
	}
	if errors.Is(err, device.ErrNotDevice) {
		return usage("reverify", "the target is neither a disk nor a file", "name the disk, or a file with a copy of it")
	}
	if err != nil {
		return refusedDevice("reverify", err)
	}
	same := facts.Equal == a.Device.Bytes && facts.Different.Bytes == 0 && facts.Unreadable.Bytes == 0
	if p.json {
		if err := p.term.Document(map[string]any{
			"attest": a.ID, "signature": map[bool]string{true: "not checked", false: "good"}[signer == ""], "signer": signer, "class": a.Class,
			"total": a.Device.Bytes, "equal": facts.Equal, "different": rangesOf(facts.Different), "unreadable": rangesOf(facts.Unreadable), "same": same,
		}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.term.Out, "attest %s  %s%s, %s\n", a.ID, a.Class, virtualWords(a.Virtual), p.term.Date(a.Ended))
		if signer != "" {
			fmt.Fprintf(p.term.Out, "    signed by %s\n", signer)
		}
		fmt.Fprintf(p.term.Out, "    %d of %d bytes are what was written\n", facts.Equal, a.Device.Bytes)
		for _, r := range []struct {
			what string
			r    device.Ranges
		}{{"different", facts.Different}, {"unreadable", facts.Unreadable}} {
			for _, s := range r.r.List {
				fmt.Fprintf(p.term.Out, "    %s: from byte %d, %s\n", r.what, s.Off, counted(s.Len, "byte", "bytes"))
			}
			if r.r.More > 0 {
				fmt.Fprintf(p.term.Out, "    %s: %s\n", r.what, counted(r.r.More, "more range", "more ranges"))
			}
		}
		if a.Discarded == "done" {
			fmt.Fprintln(p.term.Out, "    the disk was told after the wipe to discard everything: differences are to be expected")
		}
	}
	if !same {
		return &ui.Error{Code: ui.VerifyFailed, What: "reverify", Why: "the disk does not hold what the attest says", Hint: "somebody wrote to it since, or it is another disk"}
	}
	return nil
}

// readDeviceAttest reads the signed attest of a device. signer is empty when no key was
// given to check the signature with.
func readDeviceAttest(path, key string) (a report.DeviceAttest, signer string, err error) {
	signed, err := os.ReadFile(path)
	if err != nil {
		return a, "", fmt.Errorf("attest: %w", err)
	}
	bad := func(err error) error {
		return &ui.Error{Code: ui.VerifyFailed, What: "attest", Why: err.Error(), Hint: "ask for the attest again; this one was changed, or is none of a disk", Err: err}
	}
	if key == "" {
		_, err := note.Open(signed, note.VerifierList())
		var unverified *note.UnverifiedNoteError
		if !errors.As(err, &unverified) {
			return a, "", bad(err)
		}
		if a, err = report.ParseDeviceAttest([]byte(unverified.Note.Text)); err != nil {
			return a, "", bad(err)
		}
		return a, "", nil
	}
	if text, err := os.ReadFile(key); err == nil {
		key = string(trimLine(text))
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return a, "", usage("reverify", "--key: not the public key of a station", "the wipe prints it: NAME+HASH+KEY")
	}
	a, n, err := report.OpenDeviceAttest(signed, note.VerifierList(verifier))
	if err != nil {
		return a, "", bad(err)
	}
	return a, n.Sigs[0].Name, nil
}

func trimLine(b []byte) []byte {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			return b[:i]
		}
	}
	return b
}
