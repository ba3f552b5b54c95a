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
	NotInjected        Rule = "not-injected"
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
	added         = "annotations.md#what-is-added"
	configuration = "configuration.md"
	providers     = "providers.md#what-you-can-say"
	logins        = "login-reference.md#keys"
)

// Rules are all rules, in the order of the documentation.
var Rules = []Description{
	{
		UnknownAnnotation, "An annotation with the injector's prefix is none of its keys, so it has no effect.",
		"Write the key that the message names, or remove the annotation. The configuration can deny such pods.",
		configuration + "#unknown-annotations",
	},
	{
		MisplacedAnnotation, "An annotation stands on the workload itself, or on a CronJob's Job, where it has no effect.",
		"Move it to the template of the pods.", "mistakes.md#workloads",
	},
	{
		MissingAnnotation, "Something is described that misses a part: a token its audience, a login its method or its role.",
		"Add the annotation that the message names, or remove the others.", keys,
	},
	{ExclusiveAnnotations, "Two annotations exclude each other.", "Remove one of them.", keys},
	{
		UnusedAnnotation, "An annotation is for another method of login, or for another form of it.", "Remove it, or choose that method.",
		logins,
	},
	{NothingAsked, "The annotations ask for nothing by themselves.", "Add an audience or a profile, or remove them.", keys},
	{InvalidValue, "The value of an annotation is not of the form that its key has.", "Write a value as the message says.", keys},
	{NotText, "The value of an annotation is no text: YAML takes 3600, true and yes for something else.", "Put the value in quotes.", keys},
	{
		InvalidSuffix, "The suffix of an annotation, which names a token or a login, is none, or makes the annotation's name too long.",
		"Use lower-case letters, digits and '-', a short suffix behind a long key, and none for the default token.", suffixes,
	},
	{
		UnknownProfile, "The configuration has no profile of that name.",
		"Name one that the message lists, or have it added. `kubectl rollout status` of the webhook says whether a new configuration " +
			"is in force.",
		configuration + "#profiles",
	},
	{UnknownProvider, "There is no provider of that name.", "Name one that the message lists, or have it added.", providers},
	{SeveralProviders, "One token cannot be of two providers.", "Give each provider a token of its own, by a suffix.", providers},
	{UnknownToken, "A login is of a token that the pod does not ask for.", "Name a token of the pod in `login-token`.", logins},
	{
		TokenUsedTwice, "Two logins exchange a token that the relying party accepts once.",
		"Give each login a token of its own, with `login-token`.", "login.md#servers-that-accept-a-jwt-once",
	},
	{
		TooLarge, "The pod, or what its annotations ask for, is over a bound.",
		"Ask for less: fewer or shorter annotations, fewer tokens, or fewer containers, with `containers`.", "design/plan.md#the-budget",
	},
	{
		DirectoryConflict, "Two directories of tokens or logins are the same, or one lies in the other.",
		"Choose another `mount-path` or `login-mount-path` for one. Where /var/run is a link to /run, write both with one of the two.",
		added,
	},
	{FileConflict, "Two files have the same path.", "Give one of them another `token-file` or `mount-path`.", added},
	{
		VariableConflict, "Two things set the same variable of a container.",
		"Choose another `env` or `login-env` for one, remove the pod's own variable, or set `login-client-env` to \"false\". Give two " +
			"tokens of one provider different `containers`.",
		added,
	},
	{
		NameConflict, "The pod has a volume or a container of a name that is the injector's.",
		"Rename the pod's own, or give the login another suffix. If it is a login container, a later webhook changed ours, the " +
			"configuration changed between two calls (the controller tries again), " +
			"or the manifest is an exported pod: remove what was injected.",
		added,
	},
	{
		MountConflict, "A container mounts something where the token or the login belongs.",
		"Choose another `mount-path`, remove the mount, or leave the container out with `skip-containers`. Leave " +
			"`terminationMessagePath` at its default.",
		added,
	},
	{ModeConflict, "The pod has the volume already, with another mode than `file-mode` says.", "Remove one of the two.", modes},
	{
		PolicyAudience, "The policy does not allow the audience.",
		"Ask for an audience that the message lists, or have `policy.audiences` changed. " +
			"One of the API server itself has to be listed literally.",
		configuration + "#audience-policy",
	},
	{
		PolicyAddress, "The policy does not allow to send tokens to that address.",
		"Use an address that the message lists, or a profile, or have `policy.loginAddresses.allowed` changed. Without a port a pattern " +
			"means 443; `*` is any address with https.",
		configuration + "#addresses-of-logins",
	},
	{
		PolicyVariable, "The policy does not allow to set that variable.",
		"Choose another variable, or have it listed in `policy.env.allowed`, literally if it is on the built-in list.",
		configuration + "#variables",
	},
	{
		PolicyMountPath, "The policy does not allow that directory.",
		"Choose a directory that the message lists, or have `policy.mountPaths` changed.", configuration + "#mount-paths",
	},
	{
		PolicySecret, "The policy does not allow to use that Secret.",
		"Use a Secret that the message lists, or have `policy.loginSecrets` changed.", configuration + "#secrets-of-logins",
	},
	{
		LoginDisabled, "The configuration does not provide for logins.",
		"Have `login.enabled` set in the chart, or `login.image` in the file.", configuration + "#the-login-container",
	},
	{LoginOnWindows, "Logins are for Linux pods.", "Have the app log in by itself, with the token.", "annotations.md#windows"},
	{
		UnknownContainer, "An annotation names a container that the pod does not have.",
		"Correct the name. If a later webhook adds that container, ignore the warning, or have it listed in `injectedContainers`.",
		configuration + "#containers-of-other-injectors",
	},
	{
		NoContainer, "Nothing gets the token.",
		"Correct `containers` or `skip-containers`. The configuration's defaults may have the latter.", keys,
	},
	{
		ContainerLeftOut, "A container that uses the directory for something else is left without the token.",
		"Name it in `skip-containers`, or in `containers` to have it be an error, or choose another `mount-path`.", added,
	},
	{
		UnreadableToken, "A container may not be able to read its file, as it runs as another user.",
		"Set `fsGroup`, or `file-mode`, or let all run as one user. Otherwise leave the container out with `skip-containers`.", modes,
	},
	{
		FileModeNoEffect, "`file-mode` has no effect, or not the one that is meant.",
		"Remove it, as the kubelet sets a tighter mode by itself, or choose a wider one.", modes,
	},
	{
		VariableKept, "A container sets a variable itself, so it keeps its value.",
		"Remove the variable, or what sets it; for those of a login, set `login-client-env` to \"false\".", added,
	},
	{
		VariablesFrom, "Variables of a login win over those that come by `envFrom`.",
		"Set `login-client-env` to \"false\" if they are to stay.", "login.md#the-result",
	},
	{OtherIdentity, "A variable has the SDK take another identity than the token's.", "Remove the variable.", providers},
	{
		OtherIdentityFrom, "A Secret in `envFrom` may set a variable that has the SDK take another identity than the token's.",
		"Remove such keys from the Secret, or take from it by `env`, or with a `prefix`, what the container needs.", providers,
	},
	{
		SeveralLogins, "A container logs in to one kind of party in several ways.", "Set `login-client-env` to \"false\" for one of them.",
		"login.md#the-result",
	},
	{ProviderExpiration, "The lifetime does not suit the provider's clients.", "Set `expiration` to what the message says.", providers},
	{StaticPod, "A static pod cannot have ServiceAccount tokens.", "Remove the annotations, or use a DaemonSet.", added},
	{
		DebugContainer, "A debug container does not get what it could have.",
		"Use `--target`. Create the pod again if it has no volume for it, or if its annotations are no longer valid. " +
			"Set `runAsUser` in the pod's securityContext if users differ.",
		"annotations.md#debug-containers",
	},
	{
		NotInjected, "A pod runs without the token that it asks for, as `lint` finds in a cluster.",
		"Create the pod again, for example by `kubectl rollout restart`; running pods are never injected. " +
			"`kubectl oidc-injector explain` has the command.", "troubleshooting.md#the-pod-starts-but-has-no-token",
	},
}

// Find returns the description of a rule.
func Find(rule Rule) (Description, bool) {
	i := slices.IndexFunc(Rules, func(d Description) bool { return d.Rule == rule })
	if i < 0 {
		return Description{}, false
	}
	return Rules[i], true
}
