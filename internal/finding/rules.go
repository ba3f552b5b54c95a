package finding

import "slices"

// The rules, each with a row in [Rules].
const (
	UnknownAnnotation    Rule = "unknown-annotation"
	MisplacedAnnotation  Rule = "misplaced-annotation"
	MissingAnnotation    Rule = "missing-annotation"
	ExclusiveAnnotations Rule = "exclusive-annotations"
	UnusedAnnotation     Rule = "unused-annotation"
	NothingAsked         Rule = "nothing-asked"
	InvalidValue         Rule = "invalid-value"
	NotText              Rule = "not-text"
	InvalidSuffix        Rule = "invalid-suffix"
	UnknownProfile       Rule = "unknown-profile"
	UnknownProvider      Rule = "unknown-provider"
	SeveralProviders     Rule = "several-providers"
	UnknownToken         Rule = "unknown-token"
	TokenUsedTwice       Rule = "token-used-twice"
	TooLarge             Rule = "too-large"

	DirectoryConflict Rule = "directory-conflict"
	FileConflict      Rule = "file-conflict"
	VariableConflict  Rule = "variable-conflict"
	NameConflict      Rule = "name-conflict"
	MountConflict     Rule = "mount-conflict"
	ModeConflict      Rule = "mode-conflict"

	PolicyAudience  Rule = "policy-audience"
	PolicyAddress   Rule = "policy-address"
	PolicyVariable  Rule = "policy-variable"
	PolicyMountPath Rule = "policy-mount-path"
	PolicySecret    Rule = "policy-secret"
	LoginDisabled   Rule = "login-disabled"
	LoginOnWindows  Rule = "login-on-windows"

	UnknownContainer   Rule = "unknown-container"
	NoContainer        Rule = "no-container"
	ContainerLeftOut   Rule = "container-left-out"
	UnreadableToken    Rule = "unreadable-token"
	FileModeNoEffect   Rule = "file-mode-no-effect"
	VariableKept       Rule = "variable-kept"
	VariablesFrom      Rule = "variables-from"
	OtherIdentity      Rule = "other-identity"
	OtherIdentityFrom  Rule = "other-identity-from"
	SeveralLogins      Rule = "several-logins"
	ProviderExpiration Rule = "provider-expiration"
	StaticPod          Rule = "static-pod"
	DebugContainer     Rule = "debug-container"
)

// Description explains a rule.
type Description struct {
	Rule Rule
	// Summary says in a sentence what is wrong, and Fix what to do.
	Summary, Fix string
	// Page is where more stands, in docs/.
	Page string
}

// The pages that several rules have.
const (
	keys          = "annotations.md#one-token"
	suffixes      = "annotations.md#more-tokens"
	modes         = "annotations.md#file-modes"
	warnings      = "annotations.md#warnings"
	denied        = "troubleshooting.md#the-pod-is-denied"
	configuration = "configuration.md"
	providers     = "providers.md#what-you-can-say"
	logins        = "login-reference.md#keys"
)

// Rules are all rules, in the order of the documentation.
var Rules = []Description{
	{
		UnknownAnnotation, "An annotation with the injector's prefix is none of its keys, so it has no effect.",
		"Write the key that the message names, or remove the annotation.", keys,
	},
	{
		MisplacedAnnotation, "An annotation stands on the workload itself, or on a CronJob's Job, where it has no effect.",
		"Move it to the template of the pods.", "mistakes.md#workloads",
	},
	{
		MissingAnnotation, "Something is described that misses a part: a token its audience, a login its method or its role.",
		"Add the annotation that the message names.", keys,
	},
	{ExclusiveAnnotations, "Two annotations exclude each other.", "Remove one of them.", keys},
	{
		UnusedAnnotation, "An annotation is for another method of login, or for another form of it.", "Remove it, or choose that method.",
		keys,
	},
	{NothingAsked, "The annotations ask for nothing by themselves.", "Add an audience or a profile, or remove them.", keys},
	{InvalidValue, "The value of an annotation is not of the form that its key has.", "Write a value as the message says.", keys},
	{NotText, "The value of an annotation is no text: YAML takes 3600, true and yes for something else.", "Put the value in quotes.", keys},
	{
		InvalidSuffix, "The suffix of an annotation, which names a token or a login, is none, or makes the annotation's name too long.",
		"Use lower-case letters, digits and '-', a short suffix behind a long key, and none for the default token.", suffixes,
	},
	{
		UnknownProfile, "The configuration has no profile of that name.", "Name one that the message lists, or have it added.",
		"configuration.md#profiles",
	},
	{UnknownProvider, "There is no provider of that name.", "Name one that the message lists, or have it added.", providers},
	{SeveralProviders, "One token cannot be of two providers.", "Give each provider a token of its own, by a suffix.", providers},
	{UnknownToken, "A login is of a token that the pod does not ask for.", "Name a token of the pod in `login-token`.", keys},
	{TokenUsedTwice, "Two logins exchange a token that the relying party accepts once.", "Give each login a token of its own.", logins},
	{TooLarge, "The pod, or what its annotations ask for, is over a bound.", "Ask for less: fewer tokens, or fewer containers.", denied},
	{
		DirectoryConflict, "Two directories of tokens or logins are the same, or one lies in the other.",
		"Choose another `mount-path` for one.", denied,
	},
	{FileConflict, "Two files have the same path.", "Give one of them another name.", denied},
	{VariableConflict, "Two things set the same variable of a container.", "Choose another variable for one, or remove one.", denied},
	{NameConflict, "The pod has a volume or a container of a name that is the injector's.", "Rename the pod's own.", denied},
	{
		MountConflict, "A container mounts something where the token or the login belongs.",
		"Choose another `mount-path`, or leave the container out with `skip-containers`.", denied,
	},
	{ModeConflict, "The pod has the volume already, with another mode than `file-mode` says.", "Remove one of the two.", denied},
	{
		PolicyAudience, "The policy does not allow the audience.", "Ask for an audience that the message lists.",
		"configuration.md#audience-policy",
	},
	{
		PolicyAddress, "The policy does not allow to send tokens to that address.", "Use an address that the message lists, or a profile.",
		"configuration.md#addresses-of-logins",
	},
	{PolicyVariable, "The policy does not allow to set that variable.", "Choose another variable.", "configuration.md#variables"},
	{
		PolicyMountPath, "The policy does not allow that directory.", "Choose a directory that the message lists.",
		"configuration.md#mount-paths",
	},
	{
		PolicySecret, "The policy does not allow to use that Secret.", "Use a Secret that the message lists.",
		"configuration.md#secrets-of-logins",
	},
	{LoginDisabled, "The configuration does not provide for logins.", "Have `login.image` set.", "configuration.md#the-login-container"},
	{LoginOnWindows, "Logins are for Linux pods.", "Have the app log in by itself, with the token.", logins},
	{UnknownContainer, "An annotation names a container that the pod does not have.", "Correct the name.", warnings},
	{NoContainer, "Nothing gets the token.", "Look at `containers` and `skip-containers`.", warnings},
	{
		ContainerLeftOut, "A container that uses the directory for something else is left without the token.",
		"Name it in `skip-containers`, or in `containers` to have it be an error.", warnings,
	},
	{UnreadableToken, "A container may not be able to read its file, as it runs as another user.", "Set `fsGroup`, or `file-mode`.", modes},
	{FileModeNoEffect, "`file-mode` has no effect, or not the one that is meant.", "Remove it, or choose a wider mode.", modes},
	{VariableKept, "A container sets a variable itself, so it keeps its value.", "Remove the variable, or what sets it.", warnings},
	{
		VariablesFrom, "Variables of a login win over those that come by `envFrom`.",
		"Set `login-client-env` to \"false\" if they are to stay.", warnings,
	},
	{OtherIdentity, "A variable has the SDK take another identity than the token's.", "Remove the variable.", providers},
	{
		OtherIdentityFrom, "A Secret in `envFrom` may set a variable that has the SDK take another identity than the token's.",
		"Remove such keys from the Secret, or take from it by `env`, or with a `prefix`, what the container needs.", providers,
	},
	{
		SeveralLogins, "A container logs in to one kind of party in several ways.", "Set `login-client-env` to \"false\" for one of them.",
		warnings,
	},
	{ProviderExpiration, "The lifetime does not suit the provider's clients.", "Set `expiration` to what the message says.", providers},
	{StaticPod, "A static pod cannot have ServiceAccount tokens.", "Remove the annotations.", warnings},
	{DebugContainer, "A debug container does not get what it could have.", "See the message: `--target` helps often.", warnings},
}

// Find returns the description of a rule.
func Find(rule Rule) (Description, bool) {
	i := slices.IndexFunc(Rules, func(d Description) bool { return d.Rule == rule })
	if i < 0 {
		return Description{}, false
	}
	return Rules[i], true
}
