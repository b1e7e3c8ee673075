// Package api is the public HTTP API: the intake of native alerts, investigations and what
// people decide about them, groups of proposed-benign investigations, and knowledge imports.
// It declares what it needs of the rest of the product; commands use it over the network and,
// when no server runs, in the same process through Client.
package api
