// Package minio runs a real MinIO for tests: with TLS by a CA of its own, on the
// loopback only, with tokens of an issuer for logins, and with neither the console
// nor the search for updates. It ends with the process that started it.
//
//	server := minio.StartForTest(t, minio.Options{
//		IssuerURL: kube.Issuer(), IssuerCA: kube.CA(), Audience: "minio", Policy: policy,
//	})
//
// The program is built with the go command from MinIO's public module, once, into
// the cache that package cluster uses as well. That takes minutes.
//
// # License
//
// MinIO is under the GNU Affero General Public License v3. It is built here to be
// tested against and for nothing else: neither the program nor its code becomes a
// part of anything that this project distributes, or is linked with it. The client
// library github.com/minio/minio-go is under the Apache License 2.0.
package minio
