#!/usr/bin/perl
# Mail::DKIM at the other end of a pipe, for cross_check.py. One job to a line, words separated by tabs:
#	verify MESSAGE-FILE ZONE-FILE            -> result, reason
#	sign MESSAGE-FILE OUTPUT-FILE KEY-FILE CANONICALIZATION DOMAIN SELECTOR -> "signed"
use strict;
use warnings;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::DNS;

{
	package FixedRecord;
	sub new { my ($class, $text) = @_; return bless { text => $text }, $class }
	sub type { return 'TXT' }
	sub txtdata { return $_[0]{text} }
	sub char_str_list { return $_[0]{text} }
}

my %zone;
{
	no warnings 'redefine';
	*Mail::DKIM::DNS::query = sub {
		my ($name) = @_;
		return map { FixedRecord->new($_) } @{ $zone{ lc $name } // [] };
	};
}

sub slurp {
	my ($path) = @_;
	open my $file, '<:raw', $path or die "$path: $!";
	local $/;
	return scalar <$file>;
}

sub verify {
	my ($message, $zone_file) = @_;
	%zone = ();
	for (split /\n/, slurp($zone_file)) {
		my ($name, $text) = split / /, $_, 2;
		push @{ $zone{ lc $name } }, $text;
	}
	my $verifier = Mail::DKIM::Verifier->new;
	$verifier->PRINT(slurp($message));
	$verifier->CLOSE;
	return $verifier->result . "\t" . $verifier->result_detail;
}

sub sign {
	my ($message, $out, $key, $how, $domain, $selector) = @_;
	my $signer = Mail::DKIM::Signer->new(Algorithm => 'rsa-sha256', Method => $how, Domain => $domain,
		Selector => $selector, KeyFile => $key);
	my $text = slurp($message);
	$signer->PRINT($text);
	$signer->CLOSE;
	open my $file, '>:raw', $out or die "$out: $!";
	print $file $signer->signature->as_string, "\r\n", $text;
	close $file;
	return 'signed';
}

$| = 1;
while (my $line = <STDIN>) {
	chomp $line;
	my ($job, @words) = split /\t/, $line;
	my $answer = eval { $job eq 'verify' ? verify(@words) : sign(@words) };
	$answer = "error\t$@" unless defined $answer;
	$answer =~ s/\n/ /g;
	print "$answer\n";
}
