// Package docker_test runs brood as the entrypoint of real containers.
//
// The engine is the one that the docker command finds. Where none answers, root
// gets one of its own (scripts/docker-engine.sh); anybody else is told why the
// tests are skipped, and with BROOD_TEST_REQUIRE they fail then.
//
// The containers hold two static programs, brood and guest, and have no network
// unless a test needs one. All that is made has the label brood.test. A guard
// process removes it when the tests have ended, in whatever way they did.
package docker_test
