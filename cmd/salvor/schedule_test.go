package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the example units under scripts/systemd again")

// The units that lie under scripts/systemd are those of a NAS set up as the guide says.
func TestExampleUnitsAreWhatSchedulePrints(t *testing.T) {
	p := purgeSchedule{
		program: "/usr/bin/salvor", state: "/var/lib/salvor", login: "nas-purge", vaults: []string{"/mnt/nas", "/mnt/usb"},
	}
	for name, want := range map[string]string{serviceUnit: p.service(), timerUnit: p.timer(), cronFile: p.cron()} {
		path := filepath.Join("..", "..", "scripts", "systemd", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(have)); diff != "" {
			t.Errorf("%s (go test ./cmd/salvor -run ExampleUnits -update writes it again):\n%s", name, diff)
		}
	}
}

func TestSchedulePathsAreQuoted(t *testing.T) {
	p := purgeSchedule{program: "/opt/a b/salvor", state: "/srv/100%", login: "nas-purge", user: "shop", vaults: []string{`/mnt/it's "it"`, "/home/x$y"}}
	service := p.service()
	for _, want := range []string{
		`ExecStart="/opt/a b/salvor" --state /srv/100%% --as nas-purge --quiet purge` + "\n",
		`RequiresMountsFor=/srv/100%% "/mnt/it's \"it\"" /home/x$y` + "\n",
		`ReadWritePaths=-/srv/100%% "-/mnt/it's \"it\"" -/home/x$y` + "\n",
		"User=shop\nCapabilityBoundingSet=\n",
		"PrivateTmp=yes\n",
	} {
		if !strings.Contains(service, want) {
			t.Errorf("no line %s in\n%s", want, service)
		}
	}
	if strings.Contains(service, "ProtectHome=") {
		t.Error("a vault under /home is hidden from the purge")
	}
	if want := `30 2 * * * shop '/opt/a b/salvor' --state /srv/100\% --as nas-purge --quiet purge`; !strings.Contains(p.cron(), want) {
		t.Errorf("cron: %s, want %s", p.cron(), want)
	}
	for _, dir := range []string{"/tmp/x", "/var/tmp"} {
		if p.state = dir; strings.Contains(p.service(), "PrivateTmp=") {
			t.Errorf("a state directory %s is hidden from the purge", dir)
		}
	}
}
