package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/custody"
)

// The shop's duties, as far as commands keep them: each has a script of its own in
// testdata/duties, named after it. The rules behind them are proved in package custody.

func duty(t *testing.T, name string) {
	t.Helper()
	p := scriptParams()
	set := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("SALVOR_OPERATOR", "jan")
		return set(env)
	}
	runScripts(t, p, "duties/"+name+".txtar")
}

func TestD01KeptAtMostOneCalendarYear(t *testing.T)      { duty(t, "d01-one-year") }
func TestD02ConfirmShortensToTheGrace(t *testing.T)      { duty(t, "d02-confirm") }
func TestD03APurposeIsRequired(t *testing.T)             { duty(t, "d03-purpose") }
func TestD04NothingWithoutTheAgreement(t *testing.T)     { duty(t, "d04-agreement") }
func TestD05KeptLongerOnlyForAReason(t *testing.T)       { duty(t, "d05-longer") }
func TestD06EveryOpeningHasAReason(t *testing.T)         { duty(t, "d06-opening") }
func TestD07AClosedCaseHasNothingLeft(t *testing.T)      { duty(t, "d07-closing") }
func TestD08NoCopiesOfOurOwn(t *testing.T)               { duty(t, "d08-no-copies") }
func TestD10EncryptedFromTheFirstByte(t *testing.T)      { duty(t, "d10-encrypted") }
func TestD11SecretsAreTheOwnersAlone(t *testing.T)       { duty(t, "d11-permissions") }
func TestD13TheRegisterOfProcessing(t *testing.T)        { duty(t, "d13-register") }
func TestD14TheOfficerIsOnEveryPaper(t *testing.T)       { duty(t, "d14-dpo") }
func TestD15WhoHasAKeyMustSign(t *testing.T)             { duty(t, "d15-signing") }
func TestD18TheSamePapersAfterALoss(t *testing.T)        { duty(t, "d18-rebuild") }
func TestD21TheLabelNamesNobody(t *testing.T)            { duty(t, "d21-label") }
func TestD28OneCustomersProof(t *testing.T)              { duty(t, "d28-proof") }
func TestD33AnAttestInTheCustomersLanguage(t *testing.T) { duty(t, "d33-attest") }
func TestD12NobodyWithoutAgreement(t *testing.T)         { duty(t, "d12-operators") }
func TestD16AnEndedAccessIsOver(t *testing.T)            { duty(t, "d16-ended") }
func TestD17ShowingContactDataIsRecorded(t *testing.T)   { duty(t, "d17-access") }
func TestD19UnencryptedOnlyAsAHandover(t *testing.T)     { duty(t, "d19-portable") }
func TestD20DestroyedWithAWitness(t *testing.T)          { duty(t, "d20-destroyed") }
func TestD22NoThirdPersonWithoutProxy(t *testing.T)      { duty(t, "d22-recipient") }
func TestD23IncidentsOfEveryKind(t *testing.T)           { duty(t, "d23-incidents") }
func TestD24SeventyTwoRunningHours(t *testing.T)         { duty(t, "d24-authority") }
func TestD25TheProcessorTellsTheController(t *testing.T) { duty(t, "d25-controller") }
func TestD26HighRiskIsTold(t *testing.T)                 { duty(t, "d26-persons") }
func TestD27OnlyToAProcessorWithAContract(t *testing.T)  { duty(t, "d27-processors") }
func TestD29OneMonthAndTwoMore(t *testing.T)             { duty(t, "d29-requests") }
func TestD30WhatIsWrongIsCorrected(t *testing.T)         { duty(t, "d30-correct") }
func TestD31AHoldBlocksEveryWayOfErasing(t *testing.T)   { duty(t, "d31-hold") }
func TestD32NothingIsErasedUnvalidated(t *testing.T)     { duty(t, "d32-validate") }
func TestD34SpecialDataNeedAContract(t *testing.T)       { duty(t, "d34-special") }
func TestD35TriedBeforeTheFirstCustomer(t *testing.T)    { duty(t, "d35-selftest") }

// What a step asks for has words; what the command of each is stands in hints_test.go.
func TestEveryStepHasWords(t *testing.T) {
	for _, code := range stepCodes(t) {
		if text := stepTexts(code); text.short == string(code) && code != custody.StepLook {
			t.Errorf("%s has no words", code)
		}
	}
}

// A receipt's code is read as people type it, and nothing else passes for it.
func TestReceiptCodesAreReadAsTyped(t *testing.T) {
	const code = "K7Q0-1MXD"
	for _, typed := range []string{code, "k7q0-1mxd", "K7QO IMXD", "k7q01mxd", " k7qo-lmxd "} {
		if !sameCode(typed, code) {
			t.Errorf("%q is not taken", typed)
		}
	}
	for _, typed := range []string{"", "-", "K7Q0-1MX", "K7Q0-1MXDX", "K7Q0-1MXE"} {
		if sameCode(typed, code) {
			t.Errorf("%q is taken", typed)
		}
	}
	if sameCode("", "") {
		t.Error("a case without a code has none")
	}
}
