#include "textflag.h"

// The kernel calls it with the address of sigreturn as the one to return to, on
// the stack or in the link register.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0-0
	RET

GLOBL	·nothing(SB), RODATA, $8
DATA	·nothing(SB)/8, $handler<>(SB)
