package main

import (
	"slices"
	"strings"
)

// The names under which a schedule's files are installed.
const (
	serviceUnit = "salvor-purge.service"
	timerUnit   = "salvor-purge.timer"
	cronFile    = "salvor-purge.cron"
)

// purgeSchedule is what the files of a schedule depend on.
type purgeSchedule struct {
	program string   // path of the program
	state   string   // the station's directory
	login   string   // of the purge job, which is an operator of its own
	user    string   // whose the state directory is; "" is root
	vaults  []string // where they are mounted here, sorted
}

// service is the systemd service. It is given what a purge needs and nothing else: the
// state directory and the vaults to write to, block devices to read back from, and the
// capabilities for looking whether anybody has a file open. It needs no network and no
// secret.
func (p purgeSchedule) service() string {
	lines := []string{
		"# Erases every image whose deadline has come. Printed by: salvor schedule print",
		"[Unit]",
		"Description=salvor: erase every image whose deadline has come",
		"After=local-fs.target remote-fs.target",
		"RequiresMountsFor=" + unitWords("", p.places()...),
		"",
		"[Service]",
		"Type=oneshot",
		"ExecStart=" + strings.ReplaceAll(unitWords("", p.command()...), "$", "$$"),
		"TimeoutStartSec=infinity",
		"UMask=0077",
		"Nice=10",
		"",
		"# What it may touch. A vault that is away fails its own cases only.",
		"ProtectSystem=strict",
		"ReadWritePaths=" + unitWords("-", p.places()...),
		"DevicePolicy=closed",
		"DeviceAllow=block-* r",
	}
	paths := append(p.places(), p.program)
	if !slices.ContainsFunc(paths, below("/home", "/root", "/run/user")) {
		lines = append(lines, "ProtectHome=yes")
	}
	if !slices.ContainsFunc(paths, below("/tmp", "/var/tmp")) {
		lines = append(lines, "PrivateTmp=yes")
	}
	if p.user == "" {
		lines = append(lines, "CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_LEASE CAP_SYS_ADMIN CAP_SYS_PTRACE")
	} else {
		lines = append(lines, "User="+p.user, "CapabilityBoundingSet=")
	}
	lines = append(lines,
		"NoNewPrivileges=yes",
		"ProtectKernelTunables=yes",
		"ProtectKernelModules=yes",
		"ProtectKernelLogs=yes",
		"ProtectControlGroups=yes",
		"ProtectClock=yes",
		"ProtectHostname=yes",
		"PrivateNetwork=yes",
		"RestrictAddressFamilies=AF_UNIX",
		"RestrictNamespaces=yes",
		"RestrictRealtime=yes",
		"RestrictSUIDSGID=yes",
		"LockPersonality=yes",
		"MemoryDenyWriteExecute=yes",
		"KeyringMode=private",
		"SystemCallArchitectures=native",
		"SystemCallFilter=@system-service",
		"SystemCallFilter=~@resources @privileged",
		"SystemCallFilter=@chown", // SQLite gives its journal to the owner of its database
		"SystemCallErrorNumber=EPERM",
	)
	return strings.Join(lines, "\n") + "\n"
}

// timer runs the service every night, and as soon as possible after a night on which
// the machine was off.
func (purgeSchedule) timer() string {
	return `# Printed by: salvor schedule print
[Unit]
Description=salvor: erase every night what is due

[Timer]
OnCalendar=*-*-* 02:30
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target
`
}

// cron is the same for a machine without systemd. A night on which the machine was off
// is left out; the one after it does its work.
func (p purgeSchedule) cron() string {
	user := p.user
	if user == "" {
		user = "root"
	}
	var words []string
	for _, w := range p.command() {
		words = append(words, shellWord(w))
	}
	return "# Printed by: salvor schedule print --cron\n" +
		"30 2 * * * " + user + " " + strings.ReplaceAll(strings.Join(words, " "), "%", `\%`) + "\n"
}

func (p purgeSchedule) command() []string {
	return []string{p.program, "--state", p.state, "--as", p.login, "--quiet", "purge"}
}

// places are the directories that the purge writes to.
func (p purgeSchedule) places() []string { return append([]string{p.state}, p.vaults...) }

// below returns whether a path is one of the directories, or in one.
func below(dirs ...string) func(path string) bool {
	return func(path string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
	}
}

// unitWords writes words as systemd.syntax(7) wants them, each behind prefix: with
// quotes where a blank or a quote would end the word, and no specifiers.
func unitWords(prefix string, words ...string) string {
	escape := strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`)
	var out []string
	for _, w := range words {
		e := prefix + escape.Replace(w)
		if strings.ContainsAny(w, " \t'\"\\;") {
			e = `"` + e + `"`
		}
		out = append(out, e)
	}
	return strings.Join(out, " ")
}

// shellWord quotes a word for a shell where it needs it.
func shellWord(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-%+,:=@", r)
	}
	if !strings.ContainsFunc(w, func(r rune) bool { return !plain(r) }) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
