package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAfterErasingACaseNoByteOfTheCustomerIsOnTheDevice has ledger, journal and vault on
// one file system, erases the case, and searches the whole raw device: also pages that
// SQLite freed and blocks that no file has any more.
func TestAfterErasingACaseNoByteOfTheCustomerIsOnTheDevice(t *testing.T) {
	device, mnt, unmount := mountLoop(t, 96<<20, "mkfs.ext4", "-q", "-F")
	b := newBench(t, 1<<20)
	state, disk := filepath.Join(mnt, "state"), filepath.Join(mnt, "vault")
	tool(t, "cp", "-a", b.state, state)
	tool(t, "rm", "-r", b.state)
	b.state = state
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	b.must("vault", "add", disk, "--name", "loop")
	customer := []string{"Anneke Zwaluwenstaart", "0470998877", "Leuvensesteenweg 4711", "anneke@zwaluw.example", "a claim by Zwaluw"}
	b.must("image", b.source, "--vault", "loop", "--customer", customer[0], "--phone", customer[1], "--address", customer[2], "--email", customer[3],
		"--purpose", "crash", "--agreed", "--keep", "20d")
	b.must("image", b.source, "--vault", "loop", "--customer", "Bert Wouters", "--purpose", "crash", "--agreed", "--keep", "20d")
	b.must("hold", "add", caseNo(1), "--kind", "legal", "--reason", customer[4], "--review", "6m")
	out := b.must("show", caseNo(1), "--contact")
	if !strings.Contains(out, customer[0]) {
		t.Fatalf("the customer's name is not shown:\n%s", out)
	}
	tool(t, "sync", "-f", mnt)
	if n := contains(t, device, []string{customer[0]}); len(n) == 0 {
		t.Fatal("before the erasing the name is not on the device: the search proves nothing")
	}
	if code, out := b.run("forget", caseNo(1), "--yes"); code != 5 {
		t.Fatalf("forget of an open case: exit status %d\n%s", code, out)
	}
	hold := strings.Fields(out[strings.Index(out, "h-"):])[0]
	b.must("hold", "end", caseNo(1), strings.Trim(hold, ",;:"), "--reason", customer[4])
	if code, out := b.run("purge", "--case", caseNo(1), "--now", "--reason", customer[4]); code != 0 && code != 3 {
		t.Fatalf("purge: exit status %d\n%s", code, out)
	}
	b.must("forget", caseNo(1), "--yes")
	b.must("sync")
	b.must("audit", "--full")
	if out := b.must("show", caseNo(2), "--contact"); !strings.Contains(out, "Bert Wouters") {
		t.Fatalf("another customer is forgotten too:\n%s", out)
	}
	unmount()
	if found := contains(t, device, customer); len(found) > 0 {
		t.Fatalf("%q left on the device", found)
	}
}

// contains searches a whole device for texts, whatever their case.
func contains(t *testing.T, device string, texts []string) (found []string) {
	t.Helper()
	content, err := os.ReadFile(device)
	if err != nil {
		t.Fatal(err)
	}
	content = bytes.ToLower(content)
	for _, text := range texts {
		if bytes.Contains(content, bytes.ToLower([]byte(text))) {
			found = append(found, text)
		}
	}
	return found
}
