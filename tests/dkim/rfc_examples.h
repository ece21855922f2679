/* The messages and keys of RFC 6376 appendix A and RFC 8463 appendix A, with LF. */
#ifndef TRIMILTER_TESTS_DKIM_RFC_EXAMPLES_H
#define TRIMILTER_TESTS_DKIM_RFC_EXAMPLES_H

#define RFC6376_KEY_NAME "brisbane._domainkey.example.com"
#define RFC6376_KEY                                                                                                    \
	"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3" \
	"b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYc" \
	"kcQ2QIDAQAB"
#define RFC6376_MESSAGE                                                                                                \
	"DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\n"                                              \
	"      c=simple/simple; q=dns/txt; i=joe@football.example.com;\n"                                              \
	"      h=Received : From : To : Subject : Date : Message-ID;\n"                                                \
	"      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"                                                     \
	"      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\n"                                               \
	"        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\n"                                               \
	"        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\n"                                               \
	"        4bmp/YzhwvcubU4=;\n"                                                                                  \
	"Received: from client1.football.example.com  [192.0.2.1]\n"                                                   \
	"      by submitserver.example.com with SUBMISSION;\n"                                                         \
	"      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\n"                                                                \
	"From: Joe SixPack <joe@football.example.com>\n"                                                               \
	"To: Suzie Q <suzie@shopping.example.net>\n"                                                                   \
	"Subject: Is dinner ready?\n"                                                                                  \
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"                                                                \
	"Message-ID: <20030712040037.46341.5F8J@football.example.com>\n"                                               \
	"\n"                                                                                                           \
	"Hi.\n\nWe lost the game. Are you hungry yet?\n\nJoe.\n"

#define RFC8463_ED25519_SEED "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define RFC8463_ED25519_KEY_NAME "brisbane._domainkey.football.example.com"
#define RFC8463_ED25519_KEY "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define RFC8463_RSA_KEY_NAME "test._domainkey.football.example.com"
#define RFC8463_RSA_KEY                                                                                                \
	"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/" \
	"J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryO" \
	"TIKT+l/K4w3QIDAQAB"
#define RFC8463_RSA_PEM                                                                                                \
	"-----BEGIN RSA PRIVATE KEY-----\n"                                                                            \
	"MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"                                           \
	"Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"                                           \
	"KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"                                           \
	"AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"                                           \
	"6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"                                           \
	"zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"                                           \
	"6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"                                           \
	"uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"                                           \
	"WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"                                           \
	"WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"                                           \
	"licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"                                           \
	"o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"                                           \
	"uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"                                                               \
	"-----END RSA PRIVATE KEY-----\n"
#define RFC8463_ED25519_FIELD                                                                                          \
	" v=1; a=ed25519-sha256; c=relaxed/relaxed;\n"                                                                 \
	" d=football.example.com; i=@football.example.com;\n"                                                          \
	" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n"                                                        \
	" subject : date : message-id : from : subject : date;\n"                                                      \
	" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"                                                          \
	" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n"                                                \
	" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
#define RFC8463_RSA_FIELD                                                                                              \
	" v=1; a=rsa-sha256; c=relaxed/relaxed;\n"                                                                     \
	" d=football.example.com; i=@football.example.com;\n"                                                          \
	" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\n"                                                  \
	" date : message-id : from : subject : date;\n"                                                                \
	" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"                                                          \
	" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\n"                                                \
	" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\n"                                                \
	" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8="
#define RFC8463_HEADERS                                                                                                \
	"From: Joe SixPack <joe@football.example.com>\n"                                                               \
	"To: Suzie Q <suzie@shopping.example.net>\n"                                                                   \
	"Subject: Is dinner ready?\n"                                                                                  \
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"                                                                \
	"Message-ID: <20030712040037.46341.5F8J@football.example.com>\n"
#define RFC8463_BODY "Hi.\n\nWe lost the game.  Are you hungry yet?\n\nJoe.\n"
#define RFC8463_MESSAGE                                                                                                \
	"DKIM-Signature:" RFC8463_ED25519_FIELD "\nDKIM-Signature:" RFC8463_RSA_FIELD "\n" RFC8463_HEADERS             \
	"\n" RFC8463_BODY

#endif
