package generate

import (
	"regexp"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// aws writes a trust policy (AWS, "Create a role for OpenID Connect federation").
var aws = Party{
	Name: "aws", Summary: "AWS: commands of `aws`, or the trust policy of the role", template: "aws.sh.tmpl", values: newAWSValues,
	suits: func(t *annotations.Token, _ *annotations.Login) bool {
		return variable(t, roleVariable) != "" || t.Audience == "sts.amazonaws.com"
	},
}

// roleVariable is where SDKs of AWS read the role.
const roleVariable = "AWS_ROLE_ARN"

// maxRole is how long the name of a role may be.
const maxRole = 64

type awsValues struct {
	common
	// Partition and Account are parts of ARNs, and Role is the role's name.
	Partition, Account, Role string
}

// roleARN has the role's path before its name.
var roleARN = regexp.MustCompile(`^arn:(aws[a-z0-9-]*):iam::([0-9]{12}):role/(?:.*/)?([^/]+)$`)

func newAWSValues(w *Workload) (values, error) {
	v := &awsValues{common: w.common(), Partition: "aws", Account: "ACCOUNT", Role: w.name()}
	if m := roleARN.FindStringSubmatch(variable(&w.Token, roleVariable)); m != nil {
		v.Partition, v.Account, v.Role = m[1], m[2], m[3]
	}
	v.Role = v.Role[:min(len(v.Role), maxRole)]
	return v, nil
}

// Host is the issuer as AWS names it.
func (v *awsValues) Host() string { return strings.TrimPrefix(v.Issuer, "https://") }

// Provider is the ARN of the issuer.
func (v *awsValues) Provider() string {
	return "arn:" + v.Partition + ":iam::" + v.Account + ":oidc-provider/" + v.Host()
}

// TrustPolicy is that of the role.
func (v *awsValues) TrustPolicy() any {
	type principal struct{ Federated string }
	type statement struct {
		Effect, Action string
		Principal      principal
		Condition      map[string]map[string]string
	}
	return struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{{
		Effect: "Allow", Action: "sts:AssumeRoleWithWebIdentity", Principal: principal{v.Provider()},
		Condition: map[string]map[string]string{"StringEquals": {v.Host() + ":aud": v.Audience, v.Host() + ":sub": v.Subject}},
	}}}
}

func (v *awsValues) forAPI() any { return v.TrustPolicy() }

func (v *awsValues) notes() []string {
	notes := []string{"AWS has to reach the issuer by public HTTPS; `generate discovery` writes its documents for another place"}
	if v.Account == "ACCOUNT" {
		notes = append(notes, "ACCOUNT stands for the number of the AWS account")
	}
	return notes
}
