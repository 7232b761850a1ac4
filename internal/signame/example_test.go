package signame_test

import (
	"fmt"

	"github.com/brood-init/brood/internal/signame"
)

func Example() {
	sig, _ := signame.Parse("rtmin+3")
	fmt.Println(int(sig), signame.Name(sig), signame.ClassOf(sig))
	_, err := signame.Parse("SIGSTOPP")
	fmt.Println(err)
	// Output:
	// 37 SIGRTMIN+3 forwardable
	// cannot parse signal "SIGSTOPP": use a name such as TERM or SIGTERM, RTMIN+n, RTMAX-n, or a number from 1 to 64
}
