package expand_test

import (
	"fmt"

	"github.com/brood-init/brood/internal/expand"
)

func Example() {
	port, _ := expand.Compile("PORT={8080+index}")
	fmt.Println(port.Expand(expand.Values{Slot: 3, Index: 2, Count: 4}), port.UsesIdentity())
	_, err := expand.Compile("NAME={hostname}")
	fmt.Println(err)
	// Output:
	// PORT=8082 true
	// cannot expand "{hostname}": braces hold {slot}, {index}, {count} or a sum such as {8080+index}, and {{ is a brace itself
}
