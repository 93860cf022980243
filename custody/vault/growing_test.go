package vault_test

import (
	"strings"
	"testing"

	"salvor/custody/vault"
)

// grown is a store in which a segment has grown since its size was asked for, as it does
// while another process goes on with the image.
type grown struct {
	vault.Store
	name string
}

type grownFile struct{ vault.File }

func (g grown) Open(name string) (vault.File, error) {
	f, err := g.Store.Open(name)
	if err != nil || !strings.HasSuffix(name, g.name) {
		return f, err
	}
	return grownFile{f}, nil
}

func (f grownFile) Size() (int64, error) {
	n, err := f.File.Size()
	return n - 64<<10, err
}

func TestImageThatGrowsWhileItIsOpenedIsNotDamaged(t *testing.T) {
	mem := written(t, noise(1<<20), 1, false)
	last := ""
	for _, name := range mem.Names() {
		if strings.HasSuffix(name, ".seg") {
			last = max(last, name)
		}
	}
	whole, err := vault.OpenImage(t.Context(), mem, ref)
	if err != nil {
		t.Fatal(err)
	}
	c, err := vault.OpenImage(t.Context(), grown{mem, last}, ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, all := c.Position().Records, whole.Position().Records; got == 0 || got >= all {
		t.Errorf("%d of %d records", got, all)
	}
}
