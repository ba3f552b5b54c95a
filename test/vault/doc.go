// Package vault runs a real HashiCorp Vault for tests and for the demo, without
// Docker and without downloads of finished programs.
//
// It is the server of production and not its dev mode: TLS by a CA of its own,
// integrated storage on disk, sealed after each start, and unsealed by this
// package. It listens on the loopback only and ends with the process that
// started it, even when that is killed with SIGKILL.
//
//	server := vault.StartForTest(t, vault.Options{})
//	err := server.EnableJWT(ctx, "kubernetes", vault.JWTConfig{Issuer: kube.Issuer(), DiscoveryCA: kube.CA()})
//	err = server.WriteRole(ctx, "kubernetes", "app", map[string]any{
//		"bound_audiences": "vault",
//		"user_claim":      "sub",
//		"bound_subject":   "system:serviceaccount:default:app",
//		"token_policies":  "app",
//		"token_ttl":       "2s",
//	})
//
// Pods of a cluster with a node reach it at the address of the node, if its
// certificate is to be valid there:
//
//	server := vault.StartForTest(t, vault.Options{ExtraIPs: []net.IP{net.ParseIP(kube.NodeIP())}})
//	err := kube.Expose(ctx, server.Port())
//	address := fmt.Sprintf("https://%s:%d", kube.NodeIP(), server.Port())
//
// What goes wrong between a client and Vault is shown by Kill, Shutdown, Start,
// Pause, Resume, Seal and Unseal, and, by a proxy in front, by package faults.
//
// # The program
//
// It is built with the go command from Vault's public module, once, into the
// cache that package cluster uses as well. That takes minutes; Options.Progress
// shows how far it is.
//
// It is built with Vault's own tag "minimal", which leaves out the storages,
// secrets engines and auth methods of other vendors, and with them more than
// half of the time and of the size. What remains are integrated storage, the
// auth methods JWT/OIDC, AppRole, TLS certificates and userpass, and the
// secrets engines KV, PKI, SSH and Transit.
//
// # License
//
// Vault is under the Business Source License 1.1, which is no open source
// license. It is built here to be tested against and for nothing else: neither
// the program nor its code becomes a part of anything that this project
// distributes. The client library github.com/hashicorp/vault/api is under the
// Mozilla Public License 2.0.
package vault
