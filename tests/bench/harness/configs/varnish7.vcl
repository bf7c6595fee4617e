vcl 4.1;
backend o { .host = "@sip@"; .port = "@op@"; }
sub vcl_recv { return (pass); }
