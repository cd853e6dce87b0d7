"""What goes wrong outside: killed runs, lost servers, full disks. Each ends in one message, in bounded time, and nothing is lost."""
