package storetest_test

import (
	"testing"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

func TestMemoryIsAStore(t *testing.T) {
	storetest.Test(t, func(testing.TB) vault.Store { return storetest.NewMemory() })
}

func TestDirIsAStore(t *testing.T) {
	storetest.Test(t, func(t testing.TB) vault.Store {
		d, err := vault.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	})
}
