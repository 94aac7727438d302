# The console is a serial line, which tells nobody its size.
PS1='\u@\h:\w\$ '
