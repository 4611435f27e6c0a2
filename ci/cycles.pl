#!/usr/bin/env perl
# Import cycles of a crate: ci/cycles.pl modules|files SRC_FOLDER
#   modules   looks at the top-level modules, each with everything below it
#   files     looks at every file
# Prints the cycles, if there are any, and exits with 1. --graph prints all imports instead.
#
# Only what a file names itself counts: a re-export (`pub use`) is followed to the module that defines the name. Unit tests
# at the end of a file are left out.
use strict;
use warnings;

my $graph = @ARGV && $ARGV[0] eq '--graph' ? shift : '';
my ($unit, $root) = @ARGV;
die "usage: ci/cycles.pl [--graph] modules|files SRC_FOLDER\n" unless defined $root && $unit =~ /^(modules|files)$/;

my (%file, %code);    # by path of the module, `crate` or `crate::a::b`
for my $path (split /\n/, `git ls-files -co --exclude-standard '$root/*.rs'`) {
    next unless -e $path;
    (my $module = $path) =~ s{^\Q$root\E/}{};
    $module =~ s{(^|/)(lib|mod)\.rs$}{} or $module =~ s{\.rs$}{};
    $module = join '::', 'crate', split m{/}, $module;
    open my $in, '<', $path or die "$path: $!\n";
    my $text = do { local $/; <$in> };
    $text =~ s{//[^\n]*}{}g;
    $text =~ s{^\s*#\[cfg\(test\)\]\s*(pub(\([a-z]+\))? )?mod \w+ \{.*}{}ms;
    $text =~ s{"(?:\\.|[^"\\])*"}{""}gs;
    @file{$module} = $path;
    $code{$module} = $text;
}
# Binaries of the crate are its readers.
delete @code{ grep { $_ eq 'crate::main' || /^crate::(main|bin)\b/ } keys %code };

my (%named, %exported);    # by module: name => absolute path
my %imported;              # by module: paths imported
for my $module (keys %code) {
    while ($code{$module} =~ /(?:^|(?<=[\s;{}]))(pub(?:\([a-z]+\))? )?use\s+([^;]+);/g) {
        my ($public, $tree) = ($1, $2);
        for my $leaf (leaves($tree)) {
            my ($path, $as) = split /\s+as\s+/, $leaf;
            $path =~ s/::self$//;
            my $absolute = absolute($module, $path) // next;
            my $name = $as // ($path =~ /(\w+|\*)$/)[0];
            $named{$module}{$name} = $absolute;
            if ($public) { push @{ $exported{$module}{$name} }, $absolute }
            else         { push @{ $imported{$module} }, $absolute }
        }
    }
}

my %edges;                 # unit => unit => why
for my $module (sort keys %code) {
    (my $body = $code{$module}) =~ s/(?:^|(?<=[\s;{}]))(pub(\([a-z]+\))? )?use\s+[^;]+;//g;
    my @paths = @{ $imported{$module} // [] };
    push @paths, map { @{ $exported{$module}{$_} } }
        grep { /\w/ && $body =~ /\b\Q$_\E\b/ } keys %{ $exported{$module} // {} };
    while ($body =~ /(?<![\w:])((?:\w+::)+\w+)/g) {
        my $path = $1;
        my ($first, $rest) = split /::/, $path, 2;
        my $known = $named{$module}{$first};
        push @paths, defined $known && exists $code{$known} ? "${known}::$rest" : absolute($module, $path) // ();
    }
    for my $path (@paths) {
        for my $target (definers($path, {})) {
            my ($from, $to) = map { unit_of($_) } $module, $target;
            $edges{$from}{$to} //= "$file{$module}: $path" if defined $from && defined $to && $from ne $to;
        }
    }
}

if ($graph) {
    for my $from (sort keys %edges) { print "$from -> ", join(' ', sort keys %{ $edges{$from} }), "\n" }
    exit 0;
}
my @cycles = grep { @$_ > 1 } components();
for my $cycle (@cycles) {
    my %inside = map { $_ => 1 } @$cycle;
    print STDERR "$root: ", scalar @$cycle, " $unit import each other: @$cycle\n";
    for my $from (@$cycle) {
        print STDERR "    $from -> $_ ($edges{$from}{$_})\n" for sort grep { $inside{$_} } keys %{ $edges{$from} };
    }
}
exit(@cycles ? 1 : 0);

# The paths of a use tree.
sub leaves {
    my ($tree, $prefix) = (@_, '');
    $tree =~ s/^\s+|\s+$//g;
    return "$prefix$tree" unless $tree =~ /^([^{]*)\{(.*)\}$/s;
    my ($head, $inside, $depth, $leaf, @found) = ("$prefix$1", $2, 0, '');
    for my $char (split(//, $inside), ',') {
        if ($char eq ',' && !$depth) {
            push @found, leaves($leaf, $head) if $leaf =~ /\S/;
            $leaf = '';
            next;
        }
        $depth += ($char eq '{') - ($char eq '}');
        $leaf .= $char;
    }
    return @found;
}

# A path as seen from the crate; undef when it leads elsewhere.
sub absolute {
    my ($module, $path) = @_;
    my ($first, $rest) = $path =~ /^(\w+)(?:::(.*))?$/s or return undef;
    return $path if $first eq 'crate';
    return exists $code{"${module}::$first"} ? "${module}::$path" : undef unless $first =~ /^(self|super)$/;
    my @at = split /::/, $module;
    my @path = split /::/, $path;
    while (@path && $path[0] =~ /^(self|super)$/) {
        pop @at if shift(@path) eq 'super';
    }
    return @at ? join('::', @at, @path) : undef;
}

# The modules that define what a path names. A module itself is no definition: what is named in it is what counts.
sub definers {
    my ($path, $seen) = @_;
    return () if $seen->{$path}++ || exists $code{$path};
    my @at = split /::/, $path;
    my @rest;
    while (@at && !exists $code{ join '::', @at }) { unshift @rest, pop @at }
    return () unless @at;
    my $module = join '::', @at;
    my $found = $rest[0] eq '*' ? undef : $exported{$module}{ $rest[0] };
    return $module unless $found;
    return map { definers(join('::', $_, @rest[ 1 .. $#rest ]), $seen) } @$found;
}

sub unit_of {
    my ($module) = @_;
    return $file{$module} if $unit eq 'files';
    return (split /::/, $module)[1];
}

# Strongly connected components (Tarjan).
sub components {
    my (%index, %low, @stack, %on, @found);
    my $visit;
    $visit = sub {
        my ($at) = @_;
        $index{$at} = $low{$at} = keys %index;
        push @stack, $at;
        $on{$at} = 1;
        for my $to (sort keys %{ $edges{$at} // {} }) {
            if (!exists $index{$to}) {
                $visit->($to);
                $low{$at} = $low{$to} if $low{$to} < $low{$at};
            }
            elsif ($on{$to} && $index{$to} < $low{$at}) { $low{$at} = $index{$to} }
        }
        return if $low{$at} != $index{$at};
        my @component;
        do { push @component, pop @stack; $on{ $component[-1] } = 0 } until $component[-1] eq $at;
        push @found, [ sort @component ];
    };
    $visit->($_) for sort grep { !exists $index{$_} } keys %edges;
    return @found;
}
