package custody

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxPrivateBytes is the largest private part, as canonical JSON.
const MaxPrivateBytes = 16 << 10

// NonceSize is the size in bytes of the random nonce that keys a commitment.
const NonceSize = 32

// ErrPrivate is returned for a private part that does not match its event.
var ErrPrivate = errors.New("private part does not match its event")

// ErrLong is returned for a private part with more text than one may have.
var ErrLong = errors.New("more text than one record holds")

// The names of the fields of private parts. There is no field for a national
// number or a password, so that neither can be recorded.
const (
	FieldLogin       = "login"
	FieldName        = "name"
	FieldCustomer    = "customer"
	FieldPhone       = "phone"
	FieldEmail       = "email"
	FieldAddress     = "address"
	FieldTicket      = "ticket" // the shop's own order number
	FieldModel       = "model"
	FieldSerial      = "serial"
	FieldSource      = "source"
	FieldCondition   = "condition"
	FieldAccessories = "accessories"
	FieldFault       = "fault"
	FieldReason      = "reason"
	FieldTarget      = "target"
	FieldSHA256      = "sha256"      // of the content
	FieldFingerprint = "fingerprint" // of a source that has no serial number, to know it again
	FieldMaker       = "maker"
	FieldWanted      = "wanted"    // what to rescue
	FieldExcluded    = "excluded"  // what not to look at
	FieldProxy       = "proxy"     // who acts for the customer, and by which paper
	FieldRecipient   = "recipient" // who received something
	FieldMissing     = "missing"   // what could not be recovered
	FieldReference   = "reference" // somebody else's number: a parcel's, the recycler's, the authority's
	FieldRecycler    = "recycler"
	FieldRequest     = "request" // what somebody asks for
	FieldAnswer      = "answer"
	FieldFacts       = "facts" // what happened
	FieldEffects     = "effects"
	FieldMeasures    = "measures"
	FieldDamaged     = "damaged" // files that sectors are missing in: number of files, then paths
)

// PrivateFields returns the names of the fields that the private part of an
// event of type t may have, sorted; none for most types.
func PrivateFields(t Type) []string {
	switch t {
	case TypeOperatorAdded:
		return []string{FieldLogin, FieldName}
	case TypeProcessorAdded:
		return []string{FieldAddress, FieldEmail, FieldName, FieldPhone}
	case TypeCaseOpened:
		return []string{FieldAddress, FieldCustomer, FieldEmail, FieldExcluded, FieldPhone, FieldProxy, FieldTicket, FieldWanted}
	case TypeItemReceived:
		return []string{FieldAccessories, FieldCondition, FieldFault, FieldMaker, FieldModel, FieldSerial, FieldSource}
	case TypeImageStarted:
		return []string{FieldFingerprint, FieldModel, FieldSerial, FieldSource}
	case TypeImagePaused, TypeImageSealed:
		return []string{FieldDamaged}
	case TypeImageVerified:
		return []string{FieldSHA256}
	case TypeDataOpened, TypeHoldAdded, TypeHoldEnded, TypeEraseStarted, TypeDeadlineSet, TypeDeadlineShortened,
		TypeStationRetired, TypeStationSettled, TypePolicySet, TypeProcessorEnded, TypeOperatorKeyEnded, TypeCustodyOffered, TypePlaceChanged,
		TypePurgeValidated, TypeCopyErased, TypeRequestExtended:
		return []string{FieldReason}
	case TypeCustodyAccepted, TypeSealChecked:
		return []string{FieldCondition, FieldReason}
	case TypeSentExternal:
		return []string{FieldReason, FieldReference}
	case TypeBackExternal:
		return []string{FieldCondition, FieldReference}
	case TypeDataRestored, TypeDataExtracted:
		return []string{FieldReason, FieldSHA256, FieldTarget}
	case TypeDataReturned:
		return []string{FieldMissing, FieldModel, FieldProxy, FieldRecipient, FieldSerial, FieldSHA256}
	case TypeCustomerConfirmed:
		return []string{FieldRecipient}
	case TypeItemReturned:
		return []string{FieldAccessories, FieldCondition, FieldProxy, FieldRecipient}
	case TypeMediumDestroyed:
		return []string{FieldModel, FieldReason, FieldRecycler, FieldReference, FieldSerial}
	case TypeMediumEraseStarted:
		return []string{FieldModel, FieldReason, FieldSerial}
	case TypeRequestReceived:
		return []string{FieldAddress, FieldCustomer, FieldEmail, FieldPhone, FieldRequest}
	case TypeRequestAnswered:
		return []string{FieldAnswer, FieldReason}
	case TypeIncidentOpened:
		return []string{FieldFacts}
	case TypeIncidentAssessed:
		return []string{FieldEffects, FieldFacts, FieldMeasures}
	case TypeIncidentControllerNotified, TypeIncidentAuthorityNotified, TypeIncidentSubjectsNotified:
		return []string{FieldReason, FieldReference}
	case TypeIncidentClosed:
		return []string{FieldMeasures, FieldReason}
	case TypeEventCorrected:
		return []string{
			FieldAccessories, FieldAddress, FieldCondition, FieldCustomer, FieldEmail, FieldFault, FieldMaker, FieldModel,
			FieldName, FieldPhone, FieldProxy, FieldReason, FieldRecipient, FieldSerial, FieldTicket,
		}
	}
	return nil
}

// EncodePrivate returns the canonical JSON of a private part: its fields in the
// order of their names, without the empty ones. It returns nil when none is
// left, [ErrPayload] for a field that type t does not have and for text that is
// not UTF-8 or holds control characters other than newline and tab, and [ErrLong]
// for a part larger than [MaxPrivateBytes].
func EncodePrivate(t Type, fields map[string]string) ([]byte, error) {
	kept := make(map[string]string, len(fields))
	for name, value := range fields {
		if !slices.Contains(PrivateFields(t), name) {
			return nil, fmt.Errorf("%s: private field not of this type: %w", t, ErrPayload)
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, isControl) {
			return nil, fmt.Errorf("%s: private field %s: not plain text: %w", t, name, ErrPayload)
		}
		if value != "" {
			kept[name] = value
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	text, err := encodeJSON(kept)
	if err != nil {
		return nil, fmt.Errorf("%s: private part: %w", t, err)
	}
	if len(text) > MaxPrivateBytes {
		return nil, fmt.Errorf("%s: %w: %d bytes, and at most %d are taken", t, ErrLong, len(text), MaxPrivateBytes)
	}
	return text, nil
}

// DecodePrivate reads what EncodePrivate wrote, strictly.
func DecodePrivate(t Type, text []byte) (map[string]string, error) {
	var fields map[string]string
	if len(text) > MaxPrivateBytes || json.Unmarshal(text, &fields) != nil {
		return nil, fmt.Errorf("%s: %w", t, ErrPrivate)
	}
	again, err := EncodePrivate(t, fields)
	if err != nil || again == nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("%s: %w", t, ErrPrivate)
	}
	return fields, nil
}

// Commit binds a private part to its event: HMAC-SHA-256 with the nonce as the
// key. Without the nonce, which is erased together with the text, nobody can
// test guesses against it.
func Commit(nonce [NonceSize]byte, text []byte) Hash {
	mac := hmac.New(sha256.New, nonce[:])
	mac.Write(text)
	return Hash(mac.Sum(nil))
}

func isControl(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' || r == 0x7f }
