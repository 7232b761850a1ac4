<?php
header('Content-Type: text/plain');
echo 'slot=', getenv('BROOD_SLOT'), ' pid=', getmypid(), "\n";
