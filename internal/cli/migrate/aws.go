package migrate

import (
	"encoding/csv"
	"strconv"
	"strings"
)

// The annotations of amazon-eks-pod-identity-webhook, of ServiceAccounts but for the last
// one; the expiration is read of pods, too (github.com/aws/amazon-eks-pod-identity-webhook
// pkg/annotations.go, README.md).
const (
	awsDomain     = "eks.amazonaws.com"
	awsRole       = awsDomain + "/role-arn"
	awsAudience   = awsDomain + "/audience"
	awsRegional   = awsDomain + "/sts-regional-endpoints"
	awsExpiration = awsDomain + "/token-expiration"
	awsEndpoint   = awsDomain + "/endpoint-url"
	awsSkip       = awsDomain + "/skip-containers"
)

// What it does where nothing else is said (pkg/constants.go, main.go).
const (
	awsDefaultAudience   = "sts.amazonaws.com"
	awsDefaultExpiration = 86400
	awsMinExpiration     = 3600
)

var aws = Peer{
	Name: "amazon-eks-pod-identity-webhook", token: "aws",
	Moves: "ServiceAccount: `role-arn`, `audience`, `sts-regional-endpoints`, `token-expiration`; pod: " +
		"`token-expiration`, `skip-containers`",
	Leaves: "`endpoint-url`",
	owns:   oneOf(awsDomain, "role-arn", "audience", "sts-regional-endpoints", "token-expiration", "endpoint-url", "skip-containers"),
	// pkg/handler/handler.go, MutatePod: a pod without a role is left alone.
	asks:      func(in input) bool { return in.account != nil && in.account.Annotations[awsRole] != "" },
	byAccount: func(a *Account) bool { return a.Annotations[awsRole] != "" },
	move:      moveAWS,
}

func moveAWS(in input) (m move) {
	of := in.account.Annotations
	m.set("aws-role-arn", of[awsRole])
	if audience, given := of[awsAudience]; given && audience != awsDefaultAudience {
		m.set("audience.aws", audience)
	}
	// pkg/cache/cache.go and pkg/handler/handler.go, parsePodAnnotations: what is no number
	// is ignored, and what is too short is made longer.
	expiration := int64(awsDefaultExpiration)
	for _, text := range []string{of[awsExpiration], in.pod.Annotations[awsExpiration]} {
		if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
			expiration = max(seconds, awsMinExpiration)
		}
	}
	m.set("expiration.aws", strconv.FormatInt(expiration, 10))
	if regional, err := strconv.ParseBool(of[awsRegional]); err == nil && regional {
		m.set("aws-sts-regional-endpoints", "regional")
	}
	if of[awsEndpoint] != "" {
		m.find(Stays, awsEndpoint, "there is no annotation for AWS_ENDPOINT_URL: set it in the containers, and remove this")
	}
	if names := awsSkipped(in.pod.Annotations[awsSkip]); len(names) > 0 {
		m.set("skip-containers.aws", strings.Join(names, ","))
	}
	if in.AWSRegion != "" {
		m.set("aws-region", in.AWSRegion)
	} else {
		m.find(ToDo, "", "AWS_REGION is no longer set where the peer has --aws-default-region, as on EKS: give that with --aws-region")
	}
	return m
}

// awsSkipped are the containers that a pod leaves out: a line of CSV, and none if it is
// none (pkg/handler/handler.go, getContainersToSkip). Its names keep their white space, with
// which no container has them.
func awsSkipped(text string) []string {
	line, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return nil
	}
	var names []string
	for _, name := range line {
		if name != "" && name == strings.TrimSpace(name) {
			names = append(names, name)
		}
	}
	return names
}
