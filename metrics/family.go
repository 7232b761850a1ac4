package metrics

// family is an index of the table.
type family int

const (
	workerUp family = iota
	workerState
	workerPID
	workerStartTime
	workerReadyTime
	workerStarts
	workerRestarts
	workerStartFailures
	workerExits
	workerLastExitCode
	workerLastExitTime
	workerBackoff
	workerForcedKills
	workerStopDuration
	workerCPU
	workerRSS
	workerVirtual
	workerThreads
	workerFaults
	workerOpenFDs
	workerMaxFDs
	workerIO
	workerOrphans
	workerZombies
	workerAdopted

	buildInfo
	broodState
	workersDesired
	limitsFollowed
	scalings
	reloading
	reloads
	replacements
	probeFailures
	workerCountInfo
	processCPU
	processRSS
	processOpenFDs
	processGoroutines
	processStartTime
	signalsReceived
	signalsForwarded
	reapedProcesses
	reapedCodes
	reapedSignals
	reapedOrphans
	zombies
	processes
	hookRuns
	hookDuration
	hooksDropped
	registeredCount
	registeredCPU
	registeredRSS
	pidfileProblems
	panics
	readErrors
	requests

	scrapeUp
	scrapeDuration
	scrapeSamples
	scrapeDropped
	scrapeFailures

	cgroupCPULimit
	cgroupCPUUsage
	cgroupPeriods
	cgroupThrottledPeriods
	cgroupThrottledTime
	cgroupMemory
	cgroupWorkingSet
	cgroupMemoryPeak
	cgroupMemoryLimit
	cgroupMemoryEvents
	cgroupPIDs
	cgroupPIDsLimit
	cgroupCPUWaiting
	cgroupCPUStalled
	cgroupMemoryWaiting
	cgroupMemoryStalled
	cgroupIOWaiting
	cgroupIOStalled

	familyCount
)
